"""Sync in memory. Source: fact sheet sections 1 to 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tests.simulation.laws import Booking
from tests.simulation.network import Answer, Call, answer
from tests.simulation.universe import Broken
from tests.simulation.vendors.base import STORE, Vendor

from viseme import Job
from viseme.jobs import is_url

__all__ = ["Sync"]

_REMEMBERED = 24 * 3600.0
_WORDS = {"queued": "PENDING", "running": "PROCESSING", "done": "COMPLETED", "failed": "FAILED"}


class Sync(Vendor):
    """Knows each create by its key for a day, and answers it with the same job."""

    name: ClassVar[str] = "sync"
    key: ClassVar[str] = "SECRET-of-sync"
    tells_all: ClassVar[bool] = True

    @classmethod
    def inputs(cls, job: Job, files: Mapping[str, bytes]) -> str:
        video = job.video or ""
        return video if is_url(video) else f"asset-of-{len(files[video])}-{video.rpartition('/')[2]}"

    def knows(self, call: Call) -> bool:
        return call.headers.get("x-api-key") == self.key

    def wants(self, call: Call) -> str | None:
        return _inputs(call.json()) if call.path == "/v2/generate" and call.method == "POST" else None

    def respond(self, call: Call) -> Answer:
        match call.method, call.path.strip("/").split("/"):
            case "POST", ["v2", "generate"]:
                return self._create(call)
            case "GET", ["v2", "generate", name]:
                self.count(call, "read")
                return self._one(call, name)
            case "GET", ["v2", "generations"]:
                self.count(call, "read")
                known = [self.jobs[name] for name in call.query["ids"].split(",") if self._visible(name)]
                return answer([self._shown(booking) for booking in known])
            case "POST", ["v2", "assets", "upload"]:
                self.count(call, "upload", "post")
                return self._grant(call)
            case "POST", ["v2", "assets"]:
                self.count(call, "post")
                return answer({"id": f"asset-of-{call.json()['url'].rpartition('/')[2]}"}, 201)
            case _:
                return answer({"message": "no such endpoint"}, 404)

    # -- creates -----------------------------------------------------------------------------------------------------

    def _create(self, call: Call) -> Answer:
        self.count(call, "create", "post")
        key = call.headers.get("idempotency-key", "")
        if not key:
            return answer({"message": "no key", "errorCode": "INVALID_IDEMPOTENCY_KEY"}, 400)
        now = self.universe.now
        known = next((job for job in self.jobs.values() if job.key == key and now - job.at < _REMEMBERED), None)
        if known is not None:
            if self.universe.strike("conflict", key):
                return answer({"message": "the same key is being worked on"}, 409)
            return answer(self._shown(known), 201)
        inputs = _inputs(call.json())
        if inputs.startswith("asset-of-") and f"/sync/{inputs.removeprefix('asset-of-')}" not in self.store.files:
            raise Broken(f"uploads: {inputs} is used before it arrived")
        booking = self.begin(inputs, key=key)
        if self.universe.strike("outcome unknown", booking.id):
            named = {"generationId": booking.id} if self.universe.chance("outcome unknown: how").random() < 0.5 else {}
            return answer({"message": "unknown", "errorCode": "IDEMPOTENCY_OUTCOME_UNKNOWN", **named}, 503)
        return answer({**self._shown(booking), "status": "PENDING"}, 201)

    # -- looks -------------------------------------------------------------------------------------------------------

    def _visible(self, name: str) -> bool:
        self.laws.looked(self.name, name)
        known = self.jobs.get(name)
        young = known is not None and self.universe.now - known.at < 20
        return known is not None and not (young and self.universe.strike("not seen yet", name))

    def _one(self, call: Call, name: str) -> Answer:
        if not self._visible(name):
            return answer({"message": "no such generation", "errorCode": "generation_not_found"}, 404)
        return answer(self._shown(self.jobs[name]))

    def _shown(self, job: Booking) -> dict[str, Any]:
        state, booking = self.seen(job)
        shown: dict[str, Any] = {"id": booking.id, "status": _WORDS[state], "model": "lipsync-2"}
        if state == "done":
            return {**shown, "outputUrl": self.link(booking), "outputDuration": 10}
        if state == "failed":
            return {**shown, "error": "it went wrong", "errorCode": "generation_pipeline_failed"}
        return shown

    # -- files -------------------------------------------------------------------------------------------------------

    def _grant(self, call: Call) -> Answer:
        name = f"{call.json()['size']}-{call.json()['fileName']}"
        place = f"https://{STORE}/sync/{name}"
        return answer({"uploadUrl": f"{place}?sig=1", "url": place, "expiresIn": 7 * 24 * 3600})


def _inputs(body: dict[str, Any]) -> str:
    """What tells jobs apart: the video by its link, or by the asset that it was put into.

    One whose registration came to nothing legible is named by its place in the store instead, which is as good.
    """
    video = next(item for item in body["input"] if item["type"] == "video")
    return (video.get("url") or video["assetId"]).replace(f"https://{STORE}/sync/", "asset-of-")
