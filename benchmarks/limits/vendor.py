"""A vendor whose jobs last a constant time and whose limits are exact, in a process of its own.

Its windows slide, its seats are counted by the jobs that are under way, and it keeps books of both: when each job was
booked, when it was done and when a look first showed that. ``GET /books`` tells.
"""

from __future__ import annotations

import json
import sys
import time
from bisect import bisect_right
from collections import deque
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, field

from benchmarks.vendor import film, reply, serve

__all__ = ["Vendor"]

_FILM = film(1024)


@define(eq=False, kw_only=True)
class Vendor:
    """What it allows and what it saw, by its own clock.

    Attributes:
        seconds: that a job lasts.
        rate: creates in any ``window`` seconds.
        seats: jobs under way.
        throttled: requests that it refused.
    """

    address: str
    seconds: float
    rate: int
    window: float
    seats: int
    throttled: int = 0
    _passed: deque[float] = field(factory=deque[float])
    _booked: list[float] = field(factory=list[float])
    _ends: list[float] = field(factory=list[float])
    """When each job is done; rising, as all last equally long."""
    _seen: dict[int, float] = field(factory=dict[int, float])

    def answer(self, method: bytes, path: str, headers: dict[bytes, bytes]) -> bytes:
        """The reply to a request."""
        now = time.monotonic()
        if path == "/books":
            return reply(200, json.dumps(self._books()).encode())
        if path.startswith("/film/"):
            return reply(200, _FILM, b"video/mp4")
        if method == b"POST":
            return self._create(now)
        if path.startswith("/v2/generations?"):
            names = parse_qs(urlsplit(path).query)["ids"][0].split(",")
            return reply(200, b"[" + b",".join(self._told(int(name), now) for name in names) + b"]")
        return reply(200, self._told(int(path.removeprefix("/v2/generate/").partition("?")[0]), now))

    def _create(self, now: float) -> bytes:
        while self._passed and self._passed[0] <= now - self.window:
            self._passed.popleft()
        if len(self._passed) >= self.rate:
            return self._refuse(b"rate_limit_exceeded")
        if len(self._ends) - bisect_right(self._ends, now) >= self.seats:
            return self._refuse(b"concurrency_limit_reached")
        self._passed.append(now)
        self._booked.append(now)
        self._ends.append(now + self.seconds)
        return reply(201, self._told(len(self._ends) - 1, now))

    def _refuse(self, code: bytes) -> bytes:
        self.throttled += 1
        return reply(429, b'{"statusCode":429,"errorCode":"%b","message":"too many"}' % code)

    def _told(self, job: int, now: float) -> bytes:
        done = now >= self._ends[job]
        if done:
            self._seen.setdefault(job, now)
        status, link = ("COMPLETED", f'"{self.address}/film/{job}"') if done else ("PROCESSING", "null")
        return (
            f'{{"id":"{job}","createdAt":"2026-01-01T00:00:00.000Z","model":"lipsync-2","status":"{status}",'
            f'"outputUrl":{link},"outputDuration":{"3.2" if done else "null"},"error":null}}'
        ).encode()

    def _books(self) -> dict[str, Any]:
        seen = [self._seen[job] for job in range(len(self._seen))] if len(self._seen) == len(self._ends) else []
        return {"throttled": self.throttled, "booked": self._booked, "ends": self._ends, "seen": seen}


if __name__ == "__main__":
    serve(lambda address: Vendor(address=address, **json.loads(sys.argv[1])))
