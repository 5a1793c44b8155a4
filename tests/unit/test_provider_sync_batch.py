"""Sync's batches as flows: the rehearsal, the create, looking at many jobs at once, and a lost reply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.flows import AUDIO, VIDEO, drive, intent, reply

from viseme.attempts import Handle
from viseme.config import Account
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers import adapter
from viseme.providers.base import (
    Fault,
    Found,
    Member,
    Multipart,
    Provider,
    Refused,
    Reply,
    Role,
    Seen,
    TextPart,
    Undecided,
)

BASE = "https://api.sync.so"
LINK = f"{BASE}/v2/batches/b1/result"
SIGNED = "https://s3.example/b1.jsonl?X-Amz-Signature=abc"


def sync() -> Provider:
    return adapter(Account("sync", api_key="a-long-key"))


def members(count: int) -> list[Member]:
    job = Job(video=VIDEO, audio=AUDIO)
    return [Member(job=job, intent=intent(id=f"i{number}", model="lipsync-2"), handles={}) for number in range(count)]


def handle(member: str, batch: str = "b1") -> Handle:
    return {"id": f"{batch}/{member}", "batch": batch, "request": member}


def parts(body: Any) -> dict[str, Any]:
    assert isinstance(body, Multipart)
    return dict(body.parts)


def lines(*rows: dict[str, Any]) -> Reply:
    return reply("".join(json.dumps(row) + "\n" for row in rows).encode())


def done(**more: Any) -> Reply:
    return reply({"id": "b1", "status": "COMPLETED", "outputUrl": LINK, "metrics": {}, **more})


def moved() -> Reply:
    return Reply(status=302, headers={"location": SIGNED})


def test_a_batch_is_rehearsed_for_nothing_and_then_paid_for_once() -> None:
    one = sync()
    played = drive(one, one.create_many(members(20)), reply({"status": "VALIDATED"}, 201), reply({"id": "b1"}, 201))
    rehearsal, paid = played.requests
    assert (rehearsal.role, paid.role) == (Role.SAFE, Role.PAID)
    assert ("create" in rehearsal.classes, "create" in paid.classes) == (False, True)
    assert (parts(rehearsal.body)["dry_run"], parts(paid.body)["dry_run"]) == ("true", "false")
    assert parts(rehearsal.body)["input"] == parts(paid.body)["input"]
    part = parts(paid.body)["input"]
    assert isinstance(part, TextPart)
    records = [json.loads(line) for line in part.text.splitlines()]
    assert [record["request_id"] for record in records] == [f"i{number}" for number in range(20)]
    assert {record["endpoint"] for record in records} == {"/v2/generate"}
    assert records[0]["payload"]["input"][0] == {"type": "video", "url": VIDEO}
    assert played.result["i3"].handle == handle("i3")
    assert one.batch_bytes(members(1)[0]) == len(part.text.splitlines()[0]) + 1


def test_a_bad_record_is_named_by_its_line_and_nothing_is_paid() -> None:
    one = sync()
    complaint = reply({"statusCode": 400, "errorCode": "generation_input_validation_failed", "lineNumber": 3}, 400)
    with pytest.raises(Refused) as refused:
        drive(one, one.create_many(members(20)), complaint)
    assert (refused.value.verdict.kind, refused.value.verdict.line) == (Kind.INVALID, 3)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Fault(sent=True, message="reset"), Kind.FATE_UNKNOWN),
        (reply(b"<html>", 502), Kind.FATE_UNKNOWN),
        (reply({"status": "PENDING"}, 201), Kind.FATE_UNKNOWN),
        (reply({"errorCode": "plan_feature_unavailable"}, 402), Kind.INVALID),
        (reply({"errorCode": "account_payment_required"}, 402), Kind.NO_CREDIT),
        (Fault(sent=False, message="refused"), Kind.TRANSIENT),
    ],
)
def test_what_became_of_a_batch_that_was_not_accepted(outcome: Any, kind: Kind) -> None:
    one = sync()
    with pytest.raises(Refused) as refused:
        drive(one, one.create_many(members(20)), reply({"status": "VALIDATED"}), outcome)
    assert refused.value.verdict.kind is kind


def test_the_limit_on_batches_does_not_change_the_number_of_seats() -> None:
    one = sync()
    full = reply({"errorCode": "concurrency_limit_reached", "message": "batch limit"}, 429)
    with pytest.raises(Refused) as refused:
        drive(one, one.create_many(members(20)), reply({"status": "VALIDATED"}), full)
    assert (refused.value.verdict.kind, refused.value.verdict.limit) == (Kind.NO_SEAT, None)


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("PENDING", Seen.QUEUED),
        ("JOBS_CREATED", Seen.QUEUED),
        ("PROCESSING", Seen.RUNNING),
        ("VALIDATING", Seen.RUNNING),
    ],
)
def test_one_request_looks_at_all_of_a_batch_while_it_runs(status: str, seen: Seen) -> None:
    one = sync()
    metrics = {"total_generations": 40, "success_count": 9, "failed_count": 1}
    played = drive(
        one,
        one.poll_many([handle("i1"), handle("i2")]),
        reply({"id": "b1", "status": status, "metrics": metrics, "outputUrl": ""}),
    )
    assert played.request.url == f"{BASE}/v2/batch/b1"
    assert {name: found.seen for name, found in played.result.items()} == {"b1/i1": seen, "b1/i2": seen}
    assert played.result["b1/i1"].progress == 25.0


def test_the_result_file_tells_what_became_of_each_job() -> None:
    one = sync()
    good = {"request_id": "i1", "id": "g1", "status": "COMPLETED", "outputUrl": "https://cdn.example/1.mp4"}
    brief = {
        "request_id": "i2",
        "generationId": "g2",
        "status": "COMPLETED",
        "outputMediaUrl": "https://cdn.example/2.mp4",
    }
    bad = {"request_id": "i3", "id": "g3", "status": "FAILED", "error": "no", "errorCode": "generation_timeout"}
    nested = {"request_id": "i4", "response": {"id": "g4", "status": "REJECTED", "error": "policy"}}
    played = drive(
        one,
        one.poll_many([handle(f"i{number}") for number in range(1, 6)]),
        done(),
        moved(),
        lines(good, brief, bad, nested, {"no": "name"}),
    )
    _, result, file = played.requests
    assert (result.url, file.url) == (LINK, SIGNED)
    found = played.result
    assert {name: one.seen for name, one in found.items()} == {
        "b1/i1": Seen.SUCCEEDED, "b1/i2": Seen.SUCCEEDED, "b1/i3": Seen.FAILED, "b1/i4": Seen.FAILED,
        "b1/i5": Seen.RUNNING,
    }  # fmt: skip
    assert found["b1/i2"].outputs[0].url == "https://cdn.example/2.mp4"
    assert found["b1/i1"].handle == {**handle("i1"), "generation": "g1"}
    assert "no" in found["b1/i3"].verdict.message


def test_nothing_ends_a_job_of_a_batch_but_its_own_line() -> None:
    """It was paid for: a result that leaves it out, and a batch that is not in sight, may come right."""
    one = sync()
    short = drive(one, one.poll(handle("i9")), done(), lines({"request_id": "i1", "status": "FAILED"})).result
    assert (short.seen, short.status) == (Seen.RUNNING, "not in the batch's result")
    gone = drive(one, one.poll_many([handle("i9")]), reply({"errorCode": "batch_not_found"}, 404)).result
    assert (gone["b1/i9"].seen, gone["b1/i9"].status) == (Seen.RUNNING, "batch not in sight")


def test_a_job_of_a_batch_whose_generation_is_known_is_asked_for_by_that() -> None:
    one = sync()
    fresh = reply({"id": "g1", "status": "COMPLETED", "outputUrl": "https://cdn.example/fresh.mp4"})
    played = drive(one, one.poll({**handle("i1"), "generation": "g1"}), fresh)
    assert "/v2/generate/g1?" in played.request.url
    assert played.result.outputs[0].url == "https://cdn.example/fresh.mp4"


def test_single_jobs_and_batches_are_looked_at_together() -> None:
    one = sync()
    played = drive(
        one,
        one.poll_many([handle("i1"), {"id": "g7"}, handle("i1", "b2")]),
        reply({"status": "PENDING"}),
        reply({"status": "PROCESSING"}),
        reply([{"id": "g7", "status": "PROCESSING"}]),
    )
    assert {name: found.seen for name, found in played.result.items()} == {
        "b1/i1": Seen.QUEUED, "b2/i1": Seen.RUNNING, "g7": Seen.RUNNING,
    }  # fmt: skip


def test_a_batch_that_failed_as_a_whole_fails_its_jobs_and_may_have_cost_something() -> None:
    one = sync()
    found = drive(one, one.poll(handle("i1")), reply({"status": "FAILED", "error": "broken"})).result
    assert (found.seen, found.verdict.charged, "broken" in found.verdict.message) == (Seen.FAILED, True, True)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Reply(status=403), Kind.TRANSIENT),
        (Reply(status=503), Kind.TRANSIENT),
        (Fault(sent=True, message="reset"), Kind.TRANSIENT),
        (Reply(status=404), Kind.TRANSIENT),
        (Reply(status=302), Kind.PROTOCOL),
    ],
)
def test_a_result_that_cannot_be_read_decides_nothing(outcome: Any, kind: Kind) -> None:
    one = sync()
    with pytest.raises(Refused) as refused:
        drive(one, one.poll_many([handle("i1"), handle("i2")]), done(), outcome)
    assert refused.value.verdict.kind is kind


def test_links_that_go_round_in_circles_end() -> None:
    one = sync()
    with pytest.raises(Refused) as refused:
        drive(one, one.poll(handle("i1")), done(), moved(), moved(), moved())
    assert refused.value.verdict.kind is Kind.PROTOCOL


def test_a_lost_batch_is_found_in_the_result_of_one_that_is_done() -> None:
    one = sync()
    lost = intent(id="i2", batch="x", at=1_763_600_000.0)
    listed = reply([
        {"id": "new", "created_at": "2025-11-20T01:00:00Z", "status": "PROCESSING", "outputUrl": ""},
        {"id": "b1", "created_at": "2025-11-20T00:53:30Z", "status": "COMPLETED", "outputUrl": LINK},
        {"id": "old", "created_at": "2025-11-19T00:00:00Z", "status": "COMPLETED", "outputUrl": LINK},
    ])  # fmt: skip
    flow = one.reconcile(Job(video=VIDEO, audio=AUDIO), lost)
    played = drive(one, flow, listed, moved(), lines({"request_id": "i2"}))
    assert isinstance(played.result, Found)
    assert played.result.handle == handle("i2")
    nothing = drive(one, one.reconcile(Job(video=VIDEO, audio=AUDIO), lost), reply([])).result
    assert isinstance(nothing, Undecided)
    assert nothing.again is False
