"""What Rask tells of a project's face check and lip-sync: six fields, all of which may be missing. Source: sheet 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from viseme.providers.base import Flow
from viseme.providers.rask.calls import Calls
from viseme.providers.rask.refusals import nonsense
from viseme.providers.rask.values import flag, whole
from viseme.providers.reading import number, word
from viseme.wording import quote

__all__ = ["Info", "look"]

_FIELDS = (
    "check_face_task_status",
    "video_has_face",
    "lipsync_task_status",
    "lipsync_task_progress",
    "tasks_in_lipsync_queue",
    "lipsync_result_path",
)
_RESTING = frozenset({"done", "failed", "outdated"})


@frozen(kw_only=True)
class Info:
    """One look at face check and lip-sync.

    Attributes:
        face: the status of the face check, None where it never ran.
        has_face: what it found, None where that is unknown.
        status: the status of the lip-sync, None where none ever ran.
        progress: 0 to 100, None while it is queued.
        ahead: tasks before it in the queue, None where that is unknown.
        path: the link to the result.
        telling: whether any of the fields was there at all.
    """

    face: str | None = None
    has_face: bool | None = None
    status: str | None = None
    progress: float | None = None
    ahead: int | None = None
    path: str | None = None
    telling: bool = True

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Info:
        """The six fields from their JSON."""
        percent = number(found.get("lipsync_task_progress"))
        return cls(
            face=_status(found.get("check_face_task_status")),
            has_face=flag(found.get("video_has_face")),
            status=_status(found.get("lipsync_task_status")),
            progress=None if percent is None else min(100.0, max(0.0, percent)),
            ahead=whole(found.get("tasks_in_lipsync_queue")),
            path=word(found.get("lipsync_result_path")),
            telling=any(name in found for name in _FIELDS),
        )

    @property
    def working(self) -> bool:
        """Whether a lip-sync is under way: ``started``, or a word that nobody knows."""
        return self.status is not None and self.status not in _RESTING


def look(calls: Calls, project: str) -> Flow[Info]:
    """Read a project's face check and lip-sync."""
    reply = yield calls.lipsync(project)
    if not isinstance(reply.json(), dict):
        raise nonsense(f"a look at the lip-sync of project {quote(project)} with something else")
    return Info.read(reply.object())


def _status(value: object) -> str | None:
    known = word(value)
    return None if known is None else known.strip().lower()
