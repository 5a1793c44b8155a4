"""Batches at Sync's stand-in: created, watched and collected as a customer would, and with Sync's own client."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sync import AsyncSync
from sync.core.api_error import ApiError
from tests.integration.sandbox_client import KEY, Customer, Film, customer

from viseme.sandbox import ManualClock

BATCH = "/sync/v2/batch"
QUICK = {"batch_seconds": 60.0}


@asynccontextmanager
async def house(settings: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Customer]:
    async with customer(settings={"sync": QUICK | (settings or {})}, **options) as client:
        yield client


def records(client: Customer, count: int = 20, **changes: Any) -> list[dict[str, Any]]:
    """Rows of a batch, each with a video of its own; `changes` go into the first one's payload."""
    rows = [
        {"request_id": f"r{n}", "endpoint": "/v2/generate", "payload": client.generate(f"short.mp4?n={n}")}
        for n in range(count)
    ]
    rows[0]["payload"] |= changes
    return rows


def lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def create(client: Customer, rows: list[Any], **more: Any) -> tuple[int, Any]:
    return await client.send("POST", BATCH, json={"rows": rows, **more}, headers=KEY)


async def look(client: Customer, id: str) -> dict[str, Any]:
    status, told = await client.send("GET", f"{BATCH}/{id}", headers=KEY)
    assert status == 200, told
    return told


async def ended(client: Customer, id: str) -> dict[str, Any]:
    while (told := await look(client, id))["status"] not in ("COMPLETED", "FAILED"):
        await client.passing(10)
    return told


async def result(client: Customer, url: str) -> dict[str, dict[str, Any]]:
    """The result's lines by request id, fetched without a key over the redirect."""
    status, data, headers = await client.get(url)
    assert (status, headers["Content-Type"]) == (200, "application/jsonl")
    rows = [json.loads(line) for line in data.splitlines()]
    return {row["request_id"]: row for row in rows}


async def test_the_official_client_creates_watches_and_collects_a_batch() -> None:
    async with house() as client, httpx.AsyncClient(follow_redirects=True) as http:
        sdk = AsyncSync(base_url=f"{client.address}/sync", api_key="sandbox", httpx_client=http)
        data = lines(records(client))
        checked: Any = await sdk.batch.create(input=("in.jsonl", data), dry_run=True)
        assert checked.status == "VALIDATED"
        assert client.sandbox.bill()["sync"]["batches"]["creates"] == 0
        made: Any = await sdk.batch.create(input=("in.jsonl", data), webhook_url="https://example.com/hook")
        assert (made.status, made.output_url, made.webhook_url) == ("PENDING", "", "https://example.com/hook")
        while (told := await sdk.batch.get(made.id)).status != "COMPLETED":
            assert told.output_url == ""
            await client.passing(10)
        assert (told.metrics.total_generations, told.metrics.success_count, told.metrics.pending_count) == (20, 20, 0)
        fetched = await http.get(told.output_url)
        rows = [json.loads(line) for line in fetched.text.splitlines()]
        assert {row["request_id"] for row in rows} == {f"r{n}" for n in range(20)}
        listed = await sdk.batch.list(status="COMPLETED", created_after=made.created_at - timedelta(minutes=1))
        assert [batch.id for batch in listed] == [made.id]
        with pytest.raises(ApiError) as missing:
            await sdk.batch.get("batch_0")
        assert missing.value.status_code == 404


async def test_every_record_becomes_a_film_of_its_own_and_is_billed_once() -> None:
    async with house() as client:
        _, batch = await create(client, records(client))
        told = await ended(client, batch["id"])
        rows = await result(client, told["outputUrl"])
        assert {row["status"] for row in rows.values()} == {"COMPLETED"}
        status, data, _ = await client.get(rows["r7"]["outputUrl"])
        assert status == 200
        assert Film.open(data).seconds == pytest.approx(1.5, abs=0.1)
        assert (await client.ended_sync(rows["r7"]["id"]))["outputUrl"] == rows["r7"]["outputUrl"]
        assert len({film["sha256"] for film in client.sandbox.results("sync")}) == 20
        bill = client.sandbox.bill()["sync"]
        assert (bill["creates"], bill["duplicates"], bill["succeeded"]) == (20, 0, 20)
        assert bill["usd"] == pytest.approx(20 * 38 * 0.002)
        assert bill["batches"] == {
            "creates": 1, "records": 20, "duplicates": 0, "open": 0, "peak": 1, "refused": 0
        }  # fmt: skip


async def test_a_batch_goes_through_its_statuses_with_its_figures_and_appears_in_lists() -> None:
    clock = ManualClock()
    settings = {"batch_seconds": 100.0, "batch_pending_seconds": 10.0, "batch_created_seconds": 10.0}
    async with house(settings, clock=clock) as client:
        _, batch = await create(client, records(client))
        await client.sandbox.settled()
        seen: list[tuple[str, int, int]] = []
        for _ in range(4):
            told = await look(client, batch["id"])
            seen.append((told["status"], told["metrics"]["success_count"], told["metrics"]["pending_count"]))
            assert (await client.send("GET", f"{BATCH}?status={told['status']}", headers=KEY))[1] == [told]
            assert (await client.send("GET", f"{BATCH}?status=JOBS_CREATED", headers=KEY))[1] in ([], [told])
            clock.advance({0: 11.0, 1: 49.0, 2: 40.5, 3: 0.0}[len(seen) - 1])
        assert seen == [("PENDING", 0, 20), ("JOBS_CREATED", 0, 20), ("PROCESSING", 10, 10), ("COMPLETED", 20, 0)]


async def test_generations_are_not_there_before_the_batch_has_created_them() -> None:
    clock = ManualClock()
    async with house(clock=clock) as client:
        await create(client, records(client))
        await client.sandbox.settled()
        counts: list[int] = []
        for _ in range(2):
            counts.append(len((await client.send("GET", "/sync/v2/generations", headers=KEY))[1]))
            clock.advance(21)
        assert counts == [0, 20]


async def test_a_batch_takes_no_seats_and_has_a_limit_of_its_own() -> None:
    async with house({"concurrency": 1, "batch_concurrency": 1}, clock=ManualClock()) as client:
        status, _ = await create(client, records(client))
        assert (status, (await client.create_sync())[0]) == (201, 201)
        status, told = await create(client, records(client, 21))
        assert (status, told["errorCode"], "activeGenerations" in told) == (429, "concurrency_limit_reached", False)
        assert "batch" in told["message"]
        bill = client.sandbox.bill()["sync"]
        assert (bill["peak"]["seats"], bill["creates"]) == (1, 21)
        assert (bill["batches"]["open"], bill["batches"]["peak"], bill["batches"]["refused"]) == (1, 1, 1)


async def test_a_plan_without_batches_and_an_account_without_money_get_none() -> None:
    async with house({"batches": False}) as client:
        status, told = await create(client, records(client))
        assert (status, told["errorCode"]) == (402, "plan_feature_unavailable")
        client.sandbox.configure("sync", batches=True, credits=0.0)
        status, told = await create(client, records(client))
        assert (status, told["errorCode"]) == (402, "account_payment_required")
        assert client.sandbox.bill()["sync"]["batches"]["creates"] == 0


def broken(field: str, value: Any, at: int = 4) -> Callable[[list[Any]], list[Any]]:
    def change(rows: list[Any]) -> list[Any]:
        rows[at] = {**rows[at], field: value}
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (broken("request_id", "r3"), 5),
        (broken("request_id", None), 5),
        (broken("endpoint", "/v2/generate/"), 5),
        (broken("payload", []), 5),
        (broken("payload", {"model": "lipsync-2", "input": []}, 0), 1),
        (broken("payload", {"model": "none", "input": [{"type": "video", "url": "https://a.b/c"}]}), 5),
        (lambda rows: [*rows[:19], 7], 20),
        (lambda rows: rows[:19], None),
        (lambda rows: rows + [{**rows[0], "request_id": f"x{n}"} for n in range(481)], None),
    ],
)
async def test_one_bad_record_refuses_the_whole_batch_in_either_form(change: Any, line: int | None) -> None:
    async with house() as client:
        rows = change(records(client))
        status, told = await create(client, rows)
        form = aiohttp.FormData()
        form.add_field("input", lines(rows), filename="in.jsonl")
        form.add_field("dry_run", "true")
        by_form = await client.send("POST", BATCH, data=form, headers=KEY)
        assert (status, told.get("lineNumber")) == (400, line)
        assert by_form == (status, told)
        bill = client.sandbox.bill()["sync"]
        assert (bill["creates"], bill["batches"]["creates"], bill["refused"]) == (0, 0, 2)


async def test_what_is_no_batch_at_all_is_refused() -> None:
    async with house() as client:
        large = records(client, 20, outputFileName="x" * 6_000_000)
        form = aiohttp.FormData()
        form.add_field("input", io.BytesIO(lines(large)), filename="in.jsonl")
        no_file = aiohttp.FormData({"dry_run": "true"}, default_to_multipart=True)
        rows = io.BytesIO(json.dumps({"rows": large}).encode())
        for body in ({"data": form}, {"data": no_file}, {"data": rows}, {"json": {}}, {"data": b"{"}):
            assert (await client.send("POST", BATCH, headers=KEY, **body))[0] == 400, body
        torn = lines(records(client)) + b'{"request_id": '
        form = aiohttp.FormData()
        form.add_field("input", torn, filename="in.jsonl")
        assert (await client.send("POST", BATCH, data=form, headers=KEY))[1]["lineNumber"] == 21
        assert (await create(client, records(client), webhook_url="nowhere"))[0] == 400
        assert (await client.send("GET", f"{BATCH}?status=DONE", headers=KEY))[0] == 400
        assert (await client.send("GET", f"{BATCH}?created_after=monday", headers=KEY))[0] == 400
        assert (await client.send("GET", f"{BATCH}/batch_0", headers=KEY | {"x-api-key": "wrong"}))[0] == 401


async def test_an_input_over_thirty_seconds_fails_its_record_and_costs_nothing() -> None:
    async with house() as client:
        rows = records(client)
        rows[2]["payload"] = client.generate("video-31.mp4")
        rows[3]["payload"] = client.generate("short.mp4?n=3", "audio-31.wav")
        rows[4]["payload"] = client.generate("short.mp4?n=4", "audio-29.wav")
        _, batch = await create(client, rows)
        told = await ended(client, batch["id"])
        assert (told["status"], told["metrics"]["failed_count"]) == ("COMPLETED", 2)
        found = await result(client, told["outputUrl"])
        assert {id for id, row in found.items() if row["status"] == "FAILED"} == {"r2", "r3"}
        assert found["r2"]["errorCode"] == "generation_input_duration_greater_than_max_duration"
        assert client.sandbox.bill()["sync"]["usd"] == pytest.approx((17 * 38 + 725) * 0.002, rel=0.01)


@pytest.mark.parametrize(("chosen", "failed"), [(3, {"r0", "r1", "r2"}), (["r5", "r9"], {"r5", "r9"})])
async def test_records_can_be_doomed(chosen: Any, failed: set[str]) -> None:
    async with house({"batch_line": "brief"}) as client:
        client.sandbox.inject("job_failed", vendor="sync", route="batch", records=chosen)
        _, batch = await create(client, records(client))
        found = await result(client, (await ended(client, batch["id"]))["outputUrl"])
        assert {id for id, row in found.items() if "error" in row} == failed
        assert all("outputMediaUrl" in row for id, row in found.items() if id not in failed)


async def test_a_batch_fails_with_all_its_records_or_before_it_has_any() -> None:
    async with house() as client:
        client.sandbox.inject("job_failed", vendor="sync", route="batch", records=20)
        _, batch = await create(client, records(client))
        told = await ended(client, batch["id"])
        assert (told["status"], told["metrics"]["failed_count"]) == ("FAILED", 20)
        assert len(await result(client, told["outputUrl"])) == 20
        client.sandbox.inject("job_failed", vendor="sync", route="batch", whole=True)
        _, batch = await create(client, records(client))
        told = await ended(client, batch["id"])
        assert (told["status"], told["outputUrl"], told["metrics"]["failed_count"]) == ("FAILED", "", 20)
        assert (await client.send("GET", f"/sync/v2/batches/{batch['id']}/result"))[0] == 404
        assert client.sandbox.bill()["sync"]["creates"] == 20


@pytest.mark.parametrize(
    ("fault", "booked"),
    [("lost_reply", 1), ("server_error_booked", 1), ("html", 1), ("truncated", 1), ("reset_before", 0),
     ("server_error", 0), ("too_many", 0)],
)  # fmt: skip
async def test_a_fault_strikes_before_or_after_the_booking_and_a_repetition_is_a_duplicate(
    fault: str, booked: int
) -> None:
    async with house() as client:
        rows = records(client)
        client.sandbox.inject(fault, vendor="sync", route="batch", flavour="seats")
        try:
            status, told = await create(client, rows)
            assert status in (200, 429, 500, 502, 503)
            assert fault != "too_many" or "batch" in told["message"]
        except (aiohttp.ClientError, ValueError):
            pass
        assert (await create(client, rows))[0] == 201
        bill = client.sandbox.bill()["sync"]
        assert (bill["batches"]["creates"], bill["batches"]["duplicates"]) == (1 + booked, booked)
        assert (bill["creates"], bill["duplicates"]) == (20 + 20 * booked, 20 * booked)
        assert [row["fault"] for row in client.sandbox.log("sync", "batch")] == [fault, None]


async def test_looks_can_show_an_unknown_status_and_batches_may_be_invisible_at_first() -> None:
    async with house({"visible_seconds": 5.0}, clock=(clock := ManualClock())) as client:
        _, batch = await create(client, records(client))
        assert (await client.send("GET", f"{BATCH}/{batch['id']}", headers=KEY))[0] == 404
        assert (await client.send("GET", BATCH, headers=KEY))[1] == []
        clock.advance(6)
        client.sandbox.inject("unknown_status", vendor="sync", route="batch_poll")
        assert (await look(client, batch["id"]))["status"] == "VALIDATING"
        assert (await look(client, batch["id"]))["status"] == "PENDING"


async def test_batches_are_listed_newest_first_between_two_dates_and_for_their_account_only() -> None:
    async with house({"batch_concurrency": None}, clock=(clock := ManualClock())) as client:
        made = [(await create(client, records(client)), clock.advance(60))[0][1] for _ in range(3)]
        _, listed = await client.send("GET", BATCH, headers=KEY)
        assert [batch["id"] for batch in listed] == [batch["id"] for batch in reversed(made)]
        middle = datetime.fromisoformat(made[1]["created_at"])
        after = {"created_after": (middle + timedelta(seconds=1)).isoformat()}
        before = {"created_before": (middle - timedelta(seconds=1)).isoformat().replace("+00:00", "Z")}
        for query, wanted in ((after, made[2]), (before, made[0])):
            _, listed = await client.send("GET", BATCH, params=query, headers=KEY)
            assert [batch["id"] for batch in listed] == [wanted["id"]]
        assert (await client.send("GET", BATCH, headers={"x-api-key": "sandbox-b"}))[1] == []


async def test_the_result_is_a_redirect_to_a_link_that_ends() -> None:
    async with house({"link_seconds": 60.0}, clock=(clock := ManualClock())) as client:
        _, batch = await create(client, records(client))
        await client.sandbox.settled()
        clock.advance(61)
        url = (await ended(client, batch["id"]))["outputUrl"]
        assert url == f"{client.address}/sync/v2/batches/{batch['id']}/result"
        async with client.http.get(url, allow_redirects=False) as reply:
            assert reply.status == 302
            link = reply.headers["Location"]
        whole = (await client.get(link))[1]
        assert whole.count(b"\n") == 20
        assert (await client.get(link[:-1] + ("0" if link[-1] != "0" else "1")))[0] == 403
        client.sandbox.inject("expired_link", vendor="sync", route="batch_file")
        assert (await client.get(link))[0] == 403
        assert (await client.get(link))[0] == 403
        assert (await client.get(url))[0] == 200
        client.sandbox.inject("truncated", vendor="sync", route="batch_file")
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.get(url)
        async with client.http.get(url, allow_redirects=False) as reply:
            link = reply.headers["Location"]
        clock.advance(61)
        status, body, _ = await client.get(link)
        assert (status, b"expired" in body) == (403, True)
        assert all(row["key_digest"] is None for row in client.sandbox.log("sync", "batch_file"))


async def test_a_webhook_tells_of_the_end_of_a_batch() -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hear(request: web.Request) -> web.Response:
        assert request.headers["Sync-Signature"].startswith("t=")
        heard.put_nowait(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hear)
    async with house() as client, TestServer(app) as receiver:
        _, batch = await create(client, records(client), webhook_url=str(receiver.make_url("/hook")))
        await ended(client, batch["id"])
        told = await asyncio.wait_for(heard.get(), 100)
        assert (told["id"], told["status"]) == (batch["id"], "COMPLETED")
        assert told["metrics"]["success_count"] == 20
