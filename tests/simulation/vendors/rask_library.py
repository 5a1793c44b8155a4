"""Rask's library of media: handed over by link or as a file, processed, ready. Source: fact sheet section 2."""

from __future__ import annotations

import re
from typing import Any

from attrs import define, field, frozen
from tests.simulation.network import Answer, Call, answer
from tests.simulation.universe import Broken, Universe

__all__ = ["Library"]

_BREAK = b"\r\n"
_NAME = re.compile(rb'filename="([^"]+)"')


@frozen(kw_only=True)
class _Medium:
    """A medium.

    Attributes:
        inputs: what tells it from others.
        ready: when it was processed.
        bad: it cannot be read, or is lost then.
    """

    id: str
    inputs: str
    ready: float
    bad: str | None


@define(eq=False)
class Library:
    """The account's media."""

    universe: Universe
    _media: dict[str, _Medium] = field(factory=dict[str, _Medium])

    def link(self, call: Call) -> Answer:
        """Take a link."""
        return self._add(call.json()["link"])

    def upload(self, call: Call) -> Answer:
        """Take a file from a multipart body."""
        boundary = call.headers["content-type"].partition("boundary=")[2].strip('"')
        for part in call.body.split(b"--" + boundary.encode()):
            head, _, content = part.partition(b"\r\n\r\n")
            name = _NAME.search(head)
            if b'name="data"' in head and name is not None:
                return self._add(f"{len(content) - len(_BREAK)}-{name[1].decode()}")
        raise Broken("uploads: a multipart body without a file")

    def look(self, name: str) -> Answer:
        """Tell of a medium."""
        medium = self._media.get(name)
        if medium is None or (medium.bad == "lost" and self.universe.now >= medium.ready):
            return answer({"detail": "Media not found"}, 404)
        return answer(self._told(medium))

    def ready(self, name: str) -> str | None:
        """What tells a medium from others; None where there is none that can be dubbed."""
        medium = self._media.get(name)
        usable = medium is not None and medium.bad is None and self.universe.now >= medium.ready
        return medium.inputs if medium is not None and usable else None

    def _add(self, inputs: str) -> Answer:
        chance = self.universe.chance("rask: media")
        bad = chance.choice(("failed", "lost")) if self.universe.strike("bad medium", inputs) else None
        ready = self.universe.now + chance.choice((0.0, 1.0, chance.uniform(1, 40)))
        medium = _Medium(id=f"medium-{len(self._media) + 1:04d}", inputs=inputs, ready=ready, bad=bad)
        self._media[medium.id] = medium
        return answer(self._told(medium))

    def _told(self, medium: _Medium) -> dict[str, Any]:
        over = self.universe.now >= medium.ready
        status = (medium.bad or "ready") if over else "processing"
        meta = {"duration_seconds": 10} if status == "ready" else {}
        return {"id": medium.id, "kind": "video", "status": status, "name": medium.inputs, "meta": meta}
