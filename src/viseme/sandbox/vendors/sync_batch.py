"""Sync's batches: many generations from one request, beside the concurrency limit.

Assumptions, where the sheet found no text: an input over 30 s fails its own record, since the vendor has not read any
media when it answers; a batch is FAILED when none of its records succeeded; both replies to a create are a 201.
"""

import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

from ..accounts import Account
from ..faults import Fault, Struck
from ..jobs import Job, Pace, Phase
from ..studio import Work
from .sync_batch_body import Record, Submission, read_batch, wrong
from .sync_batch_result import SyncBatchResults
from .sync_batch_state import Batch, Tally
from .sync_body import digestible, error
from .sync_hooks import announce
from .sync_rules import Invalid
from .wire import Call, Endpoint, Refusal, Throttled, reply

if TYPE_CHECKING:
    from .sync import Sync

_STATUSES = ("PENDING", "JOBS_CREATED", "PROCESSING", "COMPLETED", "FAILED")


class SyncBatches:
    """The batch endpoints."""

    def __init__(self, vendor: "Sync") -> None:
        self._vendor = vendor
        self._clock = vendor.house.clock
        self._batches: dict[str, dict[str, Batch]] = {}
        self._tallies: dict[str, Tally] = {}
        self._results = SyncBatchResults(vendor, self._all)

    def endpoints(self) -> Sequence[Endpoint]:
        """Creating has a rate of its own; looking counts as reading."""
        read = ("read",)
        return (
            Endpoint("POST", "/v2/batch", "batch", self._create, ("batch_create",)),
            Endpoint("GET", "/v2/batch", "batch_list", self._list, read),
            Endpoint("GET", "/v2/batch/{id}", "batch_poll", self._poll, read),
            *self._results.endpoints(),
        )

    def forget(self) -> None:
        """Forgets every batch."""
        self._batches.clear()
        self._tallies.clear()

    def statement(self, account: Account, now: float) -> dict[str, int]:
        """The bill's lines about batches."""
        tally = self._tally(account)
        return {
            "creates": tally.creates, "records": tally.records, "duplicates": tally.duplicates,
            "open": self._open(account, now), "peak": tally.peak, "refused": tally.refused,
        }  # fmt: skip

    def too_many(self) -> web.Response:
        """The reply to a batch over the limit."""
        return error(429, "concurrency_limit_reached", "The batch limit is reached: wait until a batch has ended")

    def _of(self, account: Account) -> dict[str, Batch]:
        return self._batches.setdefault(account.name, {})

    def _all(self) -> Iterator[Batch]:
        return (batch for found in self._batches.values() for batch in found.values())

    def _tally(self, account: Account) -> Tally:
        return self._tallies.setdefault(account.name, Tally())

    def _open(self, account: Account, now: float) -> int:
        return sum(not batch.ended(now) for batch in self._of(account).values())

    # Creating

    async def _create(self, call: Call) -> web.StreamResponse:
        """POST /v2/batch."""
        settings = self._vendor.settings
        if not settings.batches:
            raise Refusal(error(402, "plan_feature_unavailable", "This plan has no batches"))
        sent = await read_batch(call)
        works = [self._work(call, record) for record in sent.records]
        if sent.dry_run:
            return reply({"status": "VALIDATED"}, 201)
        if self._vendor.short_of_credit(call.account):
            raise Refusal(error(402, "account_payment_required", "The account needs a payment"))
        if settings.batch_concurrency is not None and self._open(call.account, call.now) >= settings.batch_concurrency:
            self._tally(call.account).refused += 1
            raise Throttled(self.too_many())
        batch = self._book(call, sent, works)
        return reply(self._told(batch, self._clock.now()), 201)

    def _work(self, call: Call, record: Record) -> Work:
        try:
            work = self._vendor.work(call, record.payload)
        except Invalid as invalid:
            raise wrong(invalid.message, record.line, invalid.code) from None
        return attrs.evolve(work, input_seconds=self._vendor.settings.batch_input_seconds)

    def _book(self, call: Call, sent: Submission, works: Sequence[Work]) -> Batch:
        settings, account = self._vendor.settings, call.account
        begin = call.now + settings.batch_pending_seconds
        batch = Batch(
            at=call.now, begin=begin, work=begin + settings.batch_created_seconds, total=len(works),
            origin=call.origin, webhook=sent.webhook,
        )  # fmt: skip
        self._of(account)[batch.id] = batch
        call.row.job = batch.id
        tally, struck = self._tally(account), call.faulty(Fault.JOB_FAILED)
        tally.book(sent.records)
        batch.stillborn = struck is not None and bool(struck.get("whole", False))
        if not batch.stillborn:
            for number, (record, work) in enumerate(zip(sent.records, works, strict=True)):
                batch.jobs[record.id] = self._begin(call, batch, number, record, work, struck)
        tally.peak = max(tally.peak, self._open(account, call.now))
        if sent.webhook is not None:
            self._vendor.house.spawn(self._tell(batch, sent.webhook))
        return batch

    def _begin(self, call: Call, batch: Batch, number: int, record: Record, work: Work, struck: Struck | None) -> Job:
        """A record becomes a generation without a seat; its end is its share of the time that the batch takes."""
        settings = self._vendor.settings
        queue = batch.work - batch.begin
        left = max(0.0, batch.at + settings.batch_seconds - batch.work)
        job = Job(
            id=str(uuid.uuid4()), vendor=self._vendor.name, account=call.account.name, at=batch.begin,
            inputs=digestible(record.payload), pace=Pace(queue=queue, fixed=left * (number + 1) / batch.total),
            body=record.payload, origin=call.origin,
        )  # fmt: skip
        if struck is not None and _doomed(struck, number, record.id):
            job.doom = self._vendor.doom(struck)
        self._vendor.begin(call.account, job, work)
        return job

    async def _tell(self, batch: Batch, url: str) -> None:
        clock = self._clock
        while not batch.ended(clock.now()):
            end = batch.end()
            await clock.sleep_until(clock.now() + 0.05 * clock.speed if end is None else end)
        await announce(self._vendor, url, self._told(batch, clock.now()))

    # Looking

    async def _poll(self, call: Call) -> web.StreamResponse:
        """GET /v2/batch/{id}."""
        call.row.job = call.request.match_info["id"]
        batch = self._of(call.account).get(call.row.job)
        if batch is None or not self._visible(batch, call.now):
            raise Refusal(error(404, "batch_not_found", "There is no such batch"))
        return reply(self._shown(batch, call))

    async def _list(self, call: Call) -> web.StreamResponse:
        """GET /v2/batch: a bare array, newest first."""
        query = call.request.query
        status, after, before = query.get("status"), _date(query, "created_after"), _date(query, "created_before")
        if status is not None and status not in _STATUSES:
            raise wrong(f"status must be one of the following values: {', '.join(_STATUSES)}")
        found = [
            batch
            for batch in reversed(self._of(call.account).values())
            if self._visible(batch, call.now)
            and status in (None, batch.status(call.now))
            and after < self._clock.unix(batch.at) < before
        ]
        return reply([self._shown(batch, call) for batch in found])

    def _visible(self, batch: Batch, now: float) -> bool:
        return now >= batch.at + self._vendor.settings.visible_seconds

    def _shown(self, batch: Batch, call: Call) -> dict[str, Any]:
        told = self._told(batch, call.now)
        struck = call.faulty(Fault.UNKNOWN_STATUS)
        if struck is not None and not batch.ended(call.now):
            told["status"] = struck.get("value", "VALIDATING")
        return told

    def _told(self, batch: Batch, now: float) -> dict[str, Any]:
        """The batch object; `outputUrl` is empty until there is a result."""
        ended = batch.ended(now)
        done, failed = batch.count(Phase.DONE, now), batch.count(Phase.FAILED, now)
        failed = batch.total if ended and batch.stillborn else failed
        ready = ended and not batch.stillborn
        return {
            "id": batch.id,
            "created_at": self._clock.iso(batch.at),
            "status": batch.status(now),
            "metrics": {
                "total_generations": batch.total,
                "success_count": done,
                "failed_count": failed,
                "pending_count": batch.total - done - failed,
            },
            "outputUrl": f"{batch.origin}/sync/v2/batches/{batch.id}/result" if ready else "",
            "webhookUrl": batch.webhook,
        }


def _doomed(struck: Struck, number: int, request_id: str) -> bool:
    """Whether a fault goes to a record: the first one, the first so many, or those that are named."""
    records: int | Sequence[str] = struck.get("records", 1)
    return number < records if isinstance(records, int) else request_id in records


def _date(query: Mapping[str, str], name: str) -> float:
    """A bound in Unix seconds; without a zone it is UTC."""
    text = query.get(name)
    if text is None:
        return -math.inf if name == "created_after" else math.inf
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise wrong(f"{name} must be a date in ISO 8601") from None
    return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
