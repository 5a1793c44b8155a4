"""Rask's options, typed. Sources: fact sheet sections 2 and 10, and the vendor's page on lip-sync (seed 000)."""

from __future__ import annotations

from typing import Any, Literal

from attrs import Attribute, field, frozen

from viseme.errors import JobInvalid
from viseme.wording import quote

__all__ = ["Preview", "RaskOptions"]

Preview = Literal[False, True, "first"]


def _not_empty(_: object, attribute: Attribute[Any], value: str | None) -> None:
    if value is not None and (not value.strip() or len(value) > 300 or not value.isprintable()):
        raise JobInvalid(f"{attribute.name} {quote(value)!r} is no id; copy it from Rask", field="options")


def _speakers(_: object, __: object, value: int | None) -> None:
    if value is not None and not 1 <= value <= 1000:
        raise JobInvalid(f"num_speakers must be 1 or more, not {value}; leave it out if unknown", field="options")


@frozen(kw_only=True)
class RaskOptions:
    """Options of Rask.

    Attributes:
        num_speakers: how many people speak in the video; found out by the vendor where it is left out.
        is_multiple_speakers: whether several faces are on screen at once; ``false`` is faster. It has nothing to do
            with ``num_speakers``.
        preview: ``true`` makes the free lip-sync of one minute only; ``"first"`` makes it, keeps it as
            ``<key>.preview.mp4``, and goes on to the whole.
        project_id: an existing project; it is dubbed already, or is dubbed anew with ``generate``.
        media_id: an existing medium of the library, in place of the job's video.
        transcript_id: an existing transcript of the video.
        glossary_id: a glossary for the translation.
        generate: dub the project again (it was edited) before its lip-sync.
    """

    num_speakers: int | None = field(default=None, validator=_speakers)
    is_multiple_speakers: bool = True
    preview: Preview = False
    project_id: str | None = field(default=None, validator=_not_empty)
    media_id: str | None = field(default=None, validator=_not_empty)
    transcript_id: str | None = field(default=None, validator=_not_empty)
    glossary_id: str | None = field(default=None, validator=_not_empty)
    generate: bool = False
