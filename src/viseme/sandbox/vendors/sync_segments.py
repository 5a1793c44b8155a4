"""Sync's segments: stretches of the video, each with a voice of its own, named by `refId`."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs

Item = Mapping[str, Any]


@attrs.frozen
class Stretch:
    """The seconds `start` to `end` of the video get this voice item, from its second `skip` on."""

    start: float
    end: float
    voice: Item
    skip: float = 0.0


def stretches(segments: Sequence[Any], voices: Sequence[Item]) -> Sequence[Stretch] | str:
    """Reads the segments of a create body, or says what is wrong with them.

    `optionsOverride` has no influence on lengths and is ignored here.
    """
    named = {item.get("refId"): item for item in voices if item.get("refId")}
    found: list[Stretch] = []
    for number, entry in enumerate(segments):
        segment: Item = cast(Item, entry) if isinstance(entry, dict) else {}
        start, end = segment.get("startTime"), segment.get("endTime")
        if not isinstance(start, int | float) or not isinstance(end, int | float) or not 0 <= start < end:
            return f"segments.{number}: startTime must come before endTime"
        source = cast(Item, segment.get("audioInput") or {})
        if source.get("refId") not in named:
            return f"segments.{number}: audioInput.refId names no voice input"
        skip = source.get("startTime") or 0.0
        found.append(Stretch(float(start), float(end), named[source["refId"]], float(skip)))
    return found
