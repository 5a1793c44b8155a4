"""The pieces of speech in a Rask project: their times, texts and speakers, and what is accepted of them."""

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs

from .rask_wire import SOURCE, TARGET, complaint, invalid

_TIME = re.compile(r"(\d\d):([0-5]\d):([0-5]\d),(\d\d\d)")
_SPEAKER = re.compile(r"SPEAKER_\d\d")
_CUE = re.compile(rf"({_TIME.pattern})\s*-->\s*({_TIME.pattern})\s*\n(.+?)(?:\n\s*\n|\Z)", re.DOTALL)
_LENGTH = 5.0


@attrs.define(kw_only=True, eq=False)
class Segment:
    """One piece. `changed_at` is set from an edit until the voice-over is made anew."""

    src: dict[str, Any] | None = None
    dst: dict[str, Any] | None = None
    speaker: str | None = None
    start: str
    end: str
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    changed_at: float | None = None

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return seconds_of(self.end) - seconds_of(self.start)

    def status(self, now: float, made: bool, taking: float) -> str:
        """Where it stands; `made` says whether its project was dubbed, `taking` how long an edit is processed."""
        if self.changed_at is None:
            return "done" if made else "processing"
        return "processing" if now < self.changed_at + taking else "updated"

    def told(self, status: str) -> dict[str, Any]:
        """The segment on the wire."""
        return {
            "id": self.id, "src": self.src, "dst": self.dst, "speaker": self.speaker, "start": self.start,
            "end": self.end, "status": status,
        }  # fmt: skip


def heard(seconds: float, src_lang: str, dst_lang: str) -> list[Segment]:
    """What is heard in a video: a sentence every five seconds."""
    starts = [number * _LENGTH for number in range(max(1, int(seconds / _LENGTH)))]
    return [
        Segment(
            src={"text": f"Sentence {number}", "lang": src_lang},
            dst={"text": f"Sentence {number} in {dst_lang}", "lang": dst_lang},
            speaker="SPEAKER_00",
            start=stamp(start),
            end=stamp(max(start + 0.001, min(start + _LENGTH, seconds))),
        )
        for number, start in enumerate(starts, 1)
    ]


def sent(body: Mapping[str, Any]) -> list[Segment]:
    """The segments of a body that makes new ones.

    Raises:
        Refusal: One is not as documented.
    """
    entries = _entries(body)
    found = [text for number, entry in enumerate(entries) for text in _complaints(number, entry, new=True)]
    if len({entry.get("speaker") is None for entry in entries}) > 1:
        found.append("segments: all have a speaker, or none has")
    _refuse(found)
    return [
        Segment(src=e.get("src"), dst=e.get("dst"), speaker=e.get("speaker"), start=e["start"], end=e["end"])
        for e in entries
    ]


def changes(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The segments of a body that changes some: each with an id, and only what is to be changed.

    Raises:
        Refusal: One is not as documented.
    """
    entries = _entries(body)
    found = [text for number, entry in enumerate(entries) for text in _complaints(number, entry, new=False)]
    found += [f"segments.{number}.id: Field required" for number, entry in enumerate(entries) if not entry.get("id")]
    _refuse(found)
    names = ("id", "src", "dst", "speaker", "start", "end")
    return [{name: entry[name] for name in names if entry.get(name) is not None} for entry in entries]


def cues(text: str) -> list[tuple[str, str, str]]:
    """Start, end and text of every cue of an SRT file."""
    return [(found[1], found[6], found[11].strip()) for found in _CUE.finditer(text.replace("\r\n", "\n"))]


def seconds_of(text: str) -> float:
    """`HH:MM:SS,mmm` as seconds."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    hours, minutes, seconds, thousandths = (int(part) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + thousandths / 1000


def stamp(seconds: float) -> str:
    """Seconds as `HH:MM:SS,mmm`."""
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02},{whole % 1000:03}"


def _entries(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = body.get("segments")
    if not isinstance(entries, list) or not entries:
        raise invalid(complaint("segments", "Input should be a non-empty list", "list_type"))
    if not all(isinstance(entry, dict) for entry in cast("list[Any]", entries)):
        raise invalid(complaint("segments", "Each segment should be an object", "dict_type"))
    return cast("list[Mapping[str, Any]]", entries)


def _complaints(number: int, entry: Mapping[str, Any], *, new: bool) -> Sequence[str]:
    where, found = f"segments.{number}", list[str]()
    if new and not (entry.get("src") or entry.get("dst")):
        found.append(f"{where}: src or dst is needed")
    for name, pattern in (("src", SOURCE), ("dst", TARGET)):
        if entry.get(name) is not None and not _phrase(entry[name], pattern):
            found.append(f"{where}.{name}: text and lang are needed")
    speaker = entry.get("speaker")
    if speaker is not None and not (isinstance(speaker, str) and _SPEAKER.fullmatch(speaker)):
        found.append(f"{where}.speaker: write it as SPEAKER_00")
    times = [entry.get("start"), entry.get("end")]
    if new or times != [None, None]:
        good = all(isinstance(at, str) and _TIME.fullmatch(at) for at in times)
        if not good or seconds_of(str(times[0])) >= seconds_of(str(times[1])):
            found.append(f"{where}: start and end must be HH:MM:SS,mmm in this order")
    return found


def _phrase(value: object, language: re.Pattern[str]) -> bool:
    if not isinstance(value, dict):
        return False
    entry = cast("dict[str, Any]", value)
    lang = entry.get("lang")
    return isinstance(entry.get("text"), str) and isinstance(lang, str) and language.fullmatch(lang) is not None


def _refuse(found: Sequence[str]) -> None:
    if found:
        raise invalid(*(complaint("segments", text) for text in found))
