"""Sync's batches: 20 to 500 creates in one request. Source: fact sheet section 2.8.

The lines of the result file are not documented; they are read as Generation objects, and by the names that the vendor's
own tool uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

from attrs import evolve

from viseme.attempts import Handle, Intent
from viseme.codec import dumps, loads
from viseme.failures import Kind
from viseme.providers.base import (
    Accepted,
    Batch,
    Fault,
    Finding,
    Flow,
    Found,
    Model,
    Multipart,
    Observation,
    Outcome,
    Refused,
    Request,
    Role,
    Seen,
    TextPart,
    Undecided,
    Verdict,
    look_at,
    retry_after,
)
from viseme.providers.reading import encode, entry, identifier, listing, moment, number, said, word
from viseme.providers.sync.replies import observe
from viseme.wording import quote

__all__ = ["BATCH", "find", "is_lines", "judge_lines", "look", "record", "send"]

BATCH = Batch(least=20, most=500, bytes=5_000_000, seconds=30.0, turnaround=24 * 3600.0)

_LINES = {"accept": "application/jsonl"}
_HINT = 60.0
"""A batch takes hours; looking at it more often tells nothing."""


def record(intent: Intent, payload: Mapping[str, Any]) -> bytes:
    """One line of a batch."""
    return dumps({"request_id": intent.id, "endpoint": "/v2/generate", "payload": payload}) + b"\n"


def send(base: str, lines: Mapping[str, bytes]) -> Flow[Mapping[str, Accepted]]:
    """Have a batch checked (``dry_run``, which costs nothing), then start it.

    Args:
        lines: the records, by the intents' ids.
    """
    text = b"".join(lines.values()).decode()
    # JSON rows are documented too, but not that they heed dry_run; a form does.
    yield _post(base, text, rehearsal=True)
    reply = yield _post(base, text, rehearsal=False)
    name = identifier(reply.object().get("id"))
    if name is None:
        words = quote(said(reply.object()) or "nothing that names it")
        message = f"sync answered the batch without an id: {words}; look for it in the vendor's list"
        raise Refused(Verdict(kind=Kind.FATE_UNKNOWN, message=message, charged=True))
    return {member: Accepted(handle=_handle(name, member)) for member in lines}


def _post(base: str, text: str, *, rehearsal: bool) -> Request:
    part = TextPart(text=text, name="batch.jsonl", content_type="application/jsonl")
    return Request(
        method="POST",
        url=f"{base}/v2/batch",
        role=Role.SAFE if rehearsal else Role.PAID,
        classes=("post", "all") if rehearsal else ("create", "post", "all"),
        body=Multipart((("input", part), ("dry_run", "true" if rehearsal else "false"))),
    )


def _handle(batch: str, member: str) -> Handle:
    return {"id": f"{batch}/{member}", "batch": batch, "request": member}


# -- looking -------------------------------------------------------------------------------------------------------


def look(base: str, batch: str, handles: Sequence[Handle], models: Mapping[str, Model]) -> Flow[dict[str, Observation]]:
    """Look at the jobs of one batch; by the handles' ``id``.

    They were paid for together, so nothing ends them but their own line, or the batch's failure: a batch that is not in
    sight, and a result that is not there or leaves a job out, may come right, and are looked at until the deadline.
    """
    try:
        reply = yield look_at(f"{base}/v2/batch/{encode(batch)}")
    except Refused as refusal:
        if refusal.verdict.kind is not Kind.NOT_FOUND:
            raise
        return _all(handles, Seen.RUNNING, "batch not in sight")
    found = reply.object()
    status = (word(found.get("status")) or "").strip().upper()
    link = word(found.get("outputUrl"))
    if status in ("COMPLETED", "FAILED") and link:
        lines = yield from _results(urljoin(f"{base}/", link))
        missing = _all(handles, Seen.RUNNING, "not in the batch's result")
        told = {str(h["id"]): _seen(lines[h["request"]], h, models) for h in handles if h["request"] in lines}
        return {**missing, **told}
    if status == "FAILED":
        why = quote(said(found) or "no reason given")
        verdict = Verdict(kind=Kind.JOB_FAILED, message=f"sync failed the batch {batch}: {why}", charged=True)
        return {str(h["id"]): Observation(seen=Seen.FAILED, status=status, verdict=verdict) for h in handles}
    seen = Seen.QUEUED if status in ("PENDING", "JOBS_CREATED") else Seen.RUNNING
    return _all(handles, seen, f"batch {status or 'unknown'}", _progress(found))


def _all(handles: Iterable[Handle], seen: Seen, status: str, progress: float | None = None) -> dict[str, Observation]:
    """The same for all of a batch."""
    shown = Observation(seen=seen, status=status, progress=progress, hint=_HINT)
    return {str(handle["id"]): shown for handle in handles}


def _progress(found: Mapping[str, Any]) -> float | None:
    total = number(entry(found, "metrics", "total_generations"))
    done = [number(entry(found, "metrics", name)) or 0.0 for name in ("success_count", "failed_count")]
    return round(100 * sum(done) / total, 1) if total else None


def _results(link: str) -> Flow[dict[str, dict[str, Any]]]:
    """The lines of a result file, by request. The link answers with another, signed one."""
    for _ in range(3):
        reply = yield Request(method="GET", url=link, headers=_LINES, classes=("read", "all"))
        if reply.status < 300:
            return _parsed(reply.body)
        link = urljoin(link, reply.headers["location"])
    raise Refused(Verdict(kind=Kind.PROTOCOL, message="sync sent the batch's result from link to link; try later"))


def _parsed(body: bytes) -> dict[str, dict[str, Any]]:
    lines: dict[str, dict[str, Any]] = {}
    for text in body.splitlines():
        try:
            value: Any = loads(text)
        except ValueError:
            continue
        name = identifier(entry(value, "request_id")) or identifier(entry(value, "requestId"))
        if name is not None:
            lines[name] = value
    return lines


def _seen(line: dict[str, Any], handle: Handle, models: Mapping[str, Model]) -> Observation:
    inner: Any = next((line[name] for name in ("response", "generation", "result", "body") if entry(line, name)), None)
    found: dict[str, Any] = {**line, **inner} if isinstance(inner, dict) else line
    link = next((found[name] for name in ("outputUrl", "outputMediaUrl", "output_url") if found.get(name)), None)
    seen = observe({**found, "outputUrl": link}, models)
    name = identifier(found.get("generationId")) or identifier(found.get("id"))
    return seen if name is None else evolve(seen, handle={**handle, "generation": name})


# -- a lost reply --------------------------------------------------------------------------------------------------


def find(base: str, intent: Intent) -> Flow[Finding]:
    """Look for the batch of a lost create: only a result file tells which jobs a batch holds.

    An unfinished batch that began in time may be the one; so nothing is said of it before it is done.
    """
    reply = yield look_at(f"{base}/v2/batch")
    for found in listing(reply.json()) or []:
        created, name, link = moment(found.get("created_at")), identifier(found.get("id")), word(found.get("outputUrl"))
        if name is None or created is None or created < intent.at - 120 or not link:
            continue
        lines = yield from _results(urljoin(f"{base}/", link))
        if intent.id in lines:
            return Found(handle=_handle(name, intent.id), created=created)
    return Undecided(message="no batch that is done holds the job; one that is still running may", again=False)


# -- replies that are no JSON --------------------------------------------------------------------------------------


def is_lines(request: Request) -> bool:
    """Whether a request asks for a result file."""
    return request.headers.get("accept") == _LINES["accept"]


def judge_lines(outcome: Outcome) -> Verdict | None:
    """What the answer to a request for a result file means; a redirect with a target is none to complain of."""
    if isinstance(outcome, Fault):
        return Verdict(kind=Kind.TRANSIENT, message=f"no batch result: {outcome.message}", blame="network")
    if outcome.status < 300 or (outcome.status < 400 and outcome.headers.get("location")):
        return None
    # 403: the link ran out, and the next look has another; 404: a storage may be late.
    passing = outcome.status >= 500 or outcome.status in (403, 404, 408, 410, 429)
    kind = Kind.TRANSIENT if passing else Kind.PROTOCOL
    message = f"the batch's result cannot be read (HTTP {outcome.status})"
    return Verdict(kind=kind, message=message, retry_after=retry_after(outcome))
