"""The result of a batch at Sync: a redirect to a signed file with a line per record.

Assumptions: the lines come in no order, and a line is the Generation object with its `request_id` (or, as
`batch_line = "brief"`, only the names by which Sync's own tool reads one: `generationId`, `status`,
`outputMediaUrl`, `error`).
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..blob import Blob, send
from ..faults import Fault
from ..jobs import Job, Phase
from ..links import EXPIRED_XML, FORGED_XML
from .storage import SPOILS
from .sync_batch_state import Batch
from .sync_body import error
from .wire import Call, Endpoint, Refusal

if TYPE_CHECKING:
    from .sync import Sync


class SyncBatchResults:
    """The result endpoints; both open without a key."""

    def __init__(self, vendor: "Sync", batches: Callable[[], Iterable[Batch]]) -> None:
        self._vendor = vendor
        self._all = batches

    def endpoints(self) -> Sequence[Endpoint]:
        """What an `outputUrl` names, and the file behind it."""
        return (
            Endpoint("GET", "/v2/batches/{id}/result", "batch_result", self._result, key=False),
            Endpoint("GET", "/batch-files/{token}/{file}", "batch_file", self._file, key=False),
        )

    async def _result(self, call: Call) -> web.StreamResponse:
        """GET of an `outputUrl`: 302 to a signed link."""
        call.row.job = call.request.match_info["id"]
        batch = next((batch for batch in self._all() if batch.id == call.row.job), None)
        if batch is None or batch.stillborn or not batch.ended(call.now):
            raise Refusal(error(404, "batch_not_found", "There is no such result"))
        until = call.now + (self._vendor.settings.link_seconds or math.inf)
        grant = f"{until:.3f}-{batch.link_serial}-{self._sign(batch, batch.link_serial, until)}"
        link = f"{call.origin}/sync/batch-files/{batch.token}/results.jsonl?X-Amz-Signature={grant}"
        return web.Response(status=302, headers={"Location": link})

    def _sign(self, batch: Batch, serial: int, until: float) -> str:
        return self._vendor.house.signer.sign(f"{batch.token}/{serial}", until)

    async def _file(self, call: Call) -> web.StreamResponse:
        token = call.request.match_info["token"]
        batch = next((batch for batch in self._all() if batch.token == token), None)
        if batch is None:
            return web.Response(status=404, text="Not Found")
        call.row.job = batch.id
        complaint = self._judge(batch, call)
        if complaint is not None:
            return web.Response(status=403, text=complaint, content_type="application/xml")
        blob = Blob.of(self._lines(batch, call))
        spoil = SPOILS.get(call.struck.fault) if call.struck else None
        response, sent = await send(call.request, blob, "application/jsonl", spoil=spoil)
        call.row.bytes = sent.end - sent.start if sent is not None else 0
        return response

    def _judge(self, batch: Batch, call: Call) -> str | None:
        """Why a link to the file does not open, if it does not."""
        until, _, rest = call.request.query.get("X-Amz-Signature", "").partition("-")
        serial, _, signature = rest.partition("-")
        try:
            valid = signature == self._sign(batch, int(serial), float(until))
        except ValueError:
            valid = False
        if not valid:
            return FORGED_XML
        if call.faulty(Fault.EXPIRED_LINK):
            batch.link_serial += 1
        return EXPIRED_XML if float(until) <= call.now or int(serial) != batch.link_serial else None

    def _lines(self, batch: Batch, call: Call) -> bytes:
        ended = sorted(batch.jobs.items(), key=lambda entry: entry[1].token)
        lines = [json.dumps(self._line(id, job, call), separators=(",", ":")) for id, job in ended]
        return "".join(f"{line}\n" for line in lines).encode()

    def _line(self, request_id: str, job: Job, call: Call) -> dict[str, Any]:
        told = self._vendor.reading.told(job, call.now, call.origin)
        if self._vendor.settings.batch_line == "generation":
            return {"request_id": request_id, **told}
        brief: dict[str, Any] = {"request_id": request_id, "generationId": job.id, "status": told["status"]}
        done = job.phase(call.now) is Phase.DONE
        return brief | ({"outputMediaUrl": told["outputUrl"]} if done else {"error": told["error"]})
