"""JoggAI in memory. Source: fact sheet sections 2 to 8."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from tests.simulation.laws import Booking
from tests.simulation.network import Answer, Call, answer
from tests.simulation.universe import Broken
from tests.simulation.vendors.base import STORE, Terms, Vendor

from viseme import Job
from viseme.jobs import is_url

__all__ = ["Jogg"]

_WORDS = {"queued": "pending", "running": "processing", "done": "success", "failed": "failed"}


class Jogg(Vendor):
    """Knows no key of a create; a lost one can only be looked for by its inputs, which is not documented."""

    name: ClassVar[str] = "jogg"
    key: ClassVar[str] = "SECRET-of-jogg"

    @classmethod
    def draw(cls, chance: Random) -> Terms:
        rates = {"post": (chance.choice((3, 10, 30)), 60.0), "read": (chance.choice((2, 10)), 1.0)}
        return Terms(rates=rates, seats=chance.choice((1, 2, 5)), link_lifetime=chance.choice((20.0, 120.0, 3600.0)))

    @classmethod
    def settings(cls, chance: Random) -> dict[str, Any]:
        return {"api_key": cls.key, "lookup": chance.random() < 0.5}

    @classmethod
    def inputs(cls, job: Job, files: Mapping[str, bytes]) -> str:
        video = job.video or ""
        return video if is_url(video) else f"https://{STORE}/jogg/{len(files[video])}-{video.rpartition('/')[2]}"

    def knows(self, call: Call) -> bool:
        return call.headers.get("x-api-key") == self.key

    def wants(self, call: Call) -> str | None:
        return call.json()["video_url"] if call.path == "/v2/create_lip_sync_video" else None

    def respond(self, call: Call) -> Answer:
        match call.method, call.path.strip("/").split("/"):
            case "GET", ["v2", "user", "whoami"]:
                self.count(call, "read")
                return _said({"user": "sim"})
            case "POST", ["v2", "upload", "asset"]:
                self.count(call, "post")
                asked = call.json()
                place = f"https://{STORE}/jogg/{asked['file_size']}-{asked['filename']}"
                return _said({"sign_url": f"{place}?sig=1", "asset_url": place})
            case "POST", ["v2", "create_lip_sync_video"]:
                self.count(call, "create", "post")
                return self._create(call.json())
            case "GET", ["v2", "lip_sync_video", name]:
                self.count(call, "read")
                return self._look(name)
            case "GET", ["v2", "lip_sync_video"]:
                self.count(call, "read")
                return self._find(call)
            case _:
                return Answer(404, b"404 page not found")

    def _create(self, body: dict[str, Any]) -> Answer:
        inputs = body["video_url"]
        if STORE in inputs and inputs.partition(STORE)[2] not in self.store.files:
            raise Broken(f"uploads: {inputs} is used before it arrived")
        booking = self.begin(inputs, free=False)
        return _said({"task_id": booking.id, "status": "pending"})

    def _look(self, name: str) -> Answer:
        self.laws.looked(self.name, name)
        known = self.jobs.get(name)
        young = known is not None and self.universe.now - known.at < 20
        if known is None or (young and self.universe.strike("not seen yet", name)):
            return answer({"rid": "r", "code": 10104, "msg": "Record not found"})
        return _said(self._shown(known))

    def _find(self, call: Call) -> Answer:
        named = [job for job in self.jobs.values() if job.inputs == call.query["video_url"]]
        if not named or self.universe.strike("lookup is late"):
            return answer({"rid": "r", "code": 10104, "msg": "Record not found"})
        return _said(self._shown(named[-1]))

    def _shown(self, job: Booking) -> dict[str, Any]:
        state, booking = self.seen(job)
        shown: dict[str, Any] = {
            "task_id": booking.id,
            "status": _WORDS[state],
            "created_at": int(self.utc(booking.at)),
        }
        if state == "done":
            return {**shown, "data": {"result_url": self.link(booking), "duration_seconds": 10}}
        return {**shown, "error": {"message": "it went wrong"}} if state == "failed" else shown


def _said(data: object) -> Answer:
    return answer({"rid": "r", "code": 0, "msg": "Success", "data": data})
