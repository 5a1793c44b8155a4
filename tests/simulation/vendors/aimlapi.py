"""AI/ML API in memory. Source: fact sheet sections 2 to 8."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from tests.simulation.laws import Booking
from tests.simulation.network import Answer, Call, answer
from tests.simulation.vendors.base import Vendor

from viseme import Job
from viseme.jobs import is_url

__all__ = ["Aimlapi"]

_WORDS = {"queued": "queued", "running": "generating", "done": "completed", "failed": "error"}
_CREDITS = 2_000_000


class Aimlapi(Vendor):
    """Has a log of the last hour's requests, which may be late; a create can be found there by its label."""

    name: ClassVar[str] = "aimlapi"
    key: ClassVar[str] = "SECRET-of-aimlapi"

    @classmethod
    def inputs(cls, job: Job, files: Mapping[str, bytes]) -> str:
        video = job.video or ""
        return video if is_url(video) else _inline(files[video])

    def knows(self, call: Call) -> bool:
        return call.headers.get("authorization") == f"Bearer {self.key}"

    def wants(self, call: Call) -> str | None:
        return _asked(call) if call.method == "POST" else None

    def respond(self, call: Call) -> Answer:
        match call.method, call.path:
            case "POST", "/v2/video/generations":
                self.count(call, "create", "post")
                return self._create(call)
            case "GET", "/v2/video/generations":
                self.count(call, "read")
                return self._look(call.query["generation_id"])
            case "GET", "/v2/logs":
                self.count(call, "read")
                return self._log(call)
            case _:
                return answer({"message": "Cannot find the route"}, 404)

    def _create(self, call: Call) -> Answer:
        booking = self.begin(_asked(call), key=call.headers.get("x-client-request-id", ""))
        return answer({**self._shown(booking), "status": "queued"}, 201)

    def _look(self, name: str) -> Answer:
        self.laws.looked(self.name, name)
        known = self.jobs.get(name)
        young = known is not None and self.universe.now - known.at < 20
        if known is None or (young and self.universe.strike("not seen yet", name)):
            return answer({"message": "Generation not found"}, 404)
        return answer(self._shown(known))

    def _log(self, call: Call) -> Answer:
        since, skip = self.universe.now - 3600.0, int(call.query["offset"])
        late = 30.0 if self.universe.strike("lookup is late") else 0.0
        known = [job for job in self.jobs.values() if since < job.at <= self.universe.now - late]
        page = known[::-1][skip : skip + int(call.query["limit"])]
        return answer({"data": [self._logged(job) for job in page]})

    def _logged(self, job: Booking) -> dict[str, Any]:
        created = datetime.fromtimestamp(self.utc(job.at), UTC).isoformat()
        return {"inference_id": job.id, "client_request_id": job.key, "created": created}

    def _shown(self, job: Booking) -> dict[str, Any]:
        state, booking = self.seen(job)
        usage = {"usage": {"credits_used": _CREDITS, "usd_spent": 1.0}}
        shown: dict[str, Any] = {"id": booking.id, "status": _WORDS[state], "meta": usage}
        if state == "done":
            return {**shown, "video": {"url": self.link(booking)}}
        return {**shown, "error": {"name": "Error", "message": "it went wrong"}} if state == "failed" else shown


def _asked(call: Call) -> str:
    video = call.json()["video_url"]
    return _inline(base64.b64decode(video.partition(",")[2])) if video.startswith("data:") else video


def _inline(data: bytes) -> str:
    return f"inline-{hashlib.sha256(data).hexdigest()[:16]}"
