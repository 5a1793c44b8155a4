"""Whatever users, files and vendors write: an answer, or an error that viseme can explain, in finite time.

``VISEME_FUZZ=50`` tries fifty times as many.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.house import house
from tests.support.video import video
from tests.support.virtual import Served, simulated_world, virtual_run
from tests.unit.flows import AUDIO, VIDEO, intent
from tests.unit.ledgers import creating, in_line, row, upload

import viseme.jobs
from viseme import codec
from viseme.cli.manifests import open_manifest
from viseme.config import Account, Downloads, parse_config
from viseme.engine.courier import Courier
from viseme.engine.downloads.container import page_in_disguise, torn_mp4
from viseme.engine.downloads.download import DeadLink, Download, Unfit
from viseme.engine.intake import Intake
from viseme.engine.transport import Broken
from viseme.errors import ConfigError, JobInvalid, LedgerError, VisemeError
from viseme.jobs import Job
from viseme.ledger import Order, SqliteLedger, rows
from viseme.manifest import LONGEST, Row, read_csv, read_jsonl
from viseme.money import Budget, Price
from viseme.providers import adapter
from viseme.providers.base import FilePart, Member, Provider, Refused, Reply, Request, Save
from viseme.providers.steps import retry_after
from viseme.units import Rate, duration, rates, size
from viseme.wording import legible, quote

MORE = int(os.environ.get("VISEME_FUZZ", "1"))
NOISE = st.text(max_size=30) | st.sampled_from(
    ["", " ", "\x00", "\x1b[31m", "\u202e", "\ud800", "[red]", "-1", "0", "1e999", "9" * 400, "9" * 5000, "NaN", "١"]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 2**63, -1, 0, math.inf, math.nan])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | NOISE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NOISE, inner, max_size=3),
    max_leaves=8,
)


def rounds(count: int) -> settings:
    """How many examples are tried."""
    return settings(max_examples=count * MORE, deadline=None)


def told(error: Exception) -> None:
    """A message is fit for a terminal, and no longer than it must be."""
    text = str(error)
    assert text
    assert legible(text) == text, repr(text)
    assert len(text) < 5000


# -- what users write ----------------------------------------------------------------------------------------------

SPELLED = st.one_of(
    NOISE,
    st.from_regex(
        r"\A\s{0,3}\$?\d{1,6}(\.\d{1,3})? ?(s|min|h|day|usd|credits|minutes|MiB|kb|)(/\d{0,3}(s|job|day))?\Z"
    ),
    st.builds(
        lambda unit, times: unit * times, st.sampled_from([" ", "1", "1h", "$", "9/", "1."]), st.integers(0, 5000)
    ),
)


@pytest.mark.parametrize("read", [duration, size, rates, Rate.parse, Price.parse, Budget.parse])
@rounds(60)
@given(value=SPELLED | VALUES)
def test_figures_are_read_or_refused(read: Callable[[Any], Any], value: Any) -> None:
    try:
        found = read(value)
    except ValueError as error:
        told(error)
        return
    if read is duration:
        assert 0 <= found < math.inf
    elif isinstance(found, Rate):
        assert found.count >= 1
        assert 0 < found.window < math.inf
    elif isinstance(found, Budget):
        assert Decimal(0) <= found.amount < Decimal("Infinity")
    else:
        repr(found)


KNOWN = [
    *("provider", "api_key", "base_url", "concurrency", "seat_ttl", "pool", "allow_private_hosts", "on_unknown_fate"),
    *("attempts", "pay_again", "mode", "price", "budget", "rates", "polling", "extra_models", "name", "self"),
    *("create", "read", "first", "every", "deadline", "bulk", "path_prefix", "client_id", "client_secret", "token_url"),
    *("allow_paid", "lookup", "scopes", "client_auth", "lipsync_path", "accounts", "default_account", "downloads"),
    *("max_bytes", "stall", "tries", "covers", "x", "\x1b[31m", "[red]"),
]
GIVEN = st.recursive(
    st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([10**400, 1.5, math.inf, math.nan])
    | SPELLED
    | st.sampled_from(
        ["sync", "rask", "$HOME_OF_NONE", "${PATH}", "https://[", "https://a.example", "http://10.0.0.1"]
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KNOWN), inner, max_size=3),
    max_leaves=4,
)


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(name))} = {toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        plain = value.encode("utf-8", "replace").decode()
        return '"' + "".join(f"\\U{ord(c):08x}" if not c.isalnum() or ord(c) > 127 else c for c in plain) + '"'
    return str(value).lower()


@rounds(100)
@given(
    name=st.sampled_from(["sync", "jogg", "aimlapi", "rask", "\x1b[31m", "none"]),
    table=st.dictionaries(st.sampled_from(KNOWN), GIVEN, max_size=5),
    more=st.dictionaries(st.sampled_from(["downloads", "default_account", "x\x9b"]), GIVEN, max_size=2),
)
def test_a_configuration_is_read_or_refused(name: str, table: dict[str, Any], more: dict[str, Any]) -> None:
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in more.items())
    text += f"[accounts.{toml(name)}]\n" + "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items())
    try:
        config = parse_config(text, source="viseme.toml", environ={"PATH": "/bin"})
        for account in config.accounts:
            adapter(account)
    except VisemeError as error:
        told(error)
        return
    limits = config.downloads
    assert min(limits.concurrency, limits.max_bytes, limits.tries) >= 1
    assert limits.stall > 0


@rounds(60)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_configuration_or_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="viseme.toml", environ={})
    told(caught.value)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a." * 5000 + "b = 1", "[" * 5000, "a = " + "{b = " * 5000])
def test_a_configuration_that_is_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="viseme.toml", environ={})
    told(caught.value)


FIELDS = [*viseme.jobs.FIELDS, "x", "\x1b[31m", "Video"]
ROWS = st.dictionaries(
    st.sampled_from(FIELDS),
    VALUES | st.sampled_from([VIDEO, AUDIO, "talk.mp4", "../x", "https://[", "https://a.example:x/", "sync", "con"]),
    max_size=6,
)


@pytest.fixture(params=["installed", "standard"])
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both writers of JSON: they differ in what they let through."""
    if request.param == "standard":
        monkeypatch.setattr(rows.codec, "dumps", codec._stdlib_dumps)
        monkeypatch.setattr(rows.codec, "loads", codec._stdlib_loads)


def checked(found: list[Row]) -> None:
    """Each row is a job that the engine can take up and the ledger can keep, or a problem in words."""

    async def main() -> None:
        intake = Intake(simulated_world().world, {"house": house()}, "house")
        for one in found:
            if one.job is None:
                told(JobInvalid(one.problem or ""))
                continue
            try:
                task = await intake.row(one.job, 1)
            except JobInvalid as error:
                told(error)
                continue
            again = rows._job(rows.parse(rows.task_text(task))["job"])
            assert again.video == one.job.video
            assert -(2**62) <= rows.rank(task.job.priority) <= 2**62
            attrs.asdict(task)
            repr(task)

    virtual_run(main)


@pytest.mark.usefixtures("writer")
@rounds(66)
@given(lines=st.lists(ROWS.map(json.dumps) | ROWS.map(lambda fields: json.dumps(fields).encode()) | NOISE, max_size=4))
def test_a_manifest_of_json_lines_is_read_or_refused(lines: list[str | bytes]) -> None:
    found = list(read_jsonl(lines))
    assert [one.line for one in found] == sorted({one.line for one in found})
    checked(found)


@pytest.mark.usefixtures("writer")
@rounds(66)
@given(
    header=st.lists(st.sampled_from(["video", "audio", "options", "priority", "key", "output", "x", ""]), max_size=5),
    cells=st.lists(st.lists(NOISE | st.sampled_from([VIDEO, '"', '"{""a"": 1}"', "{}", "[", '"a\nb"']), max_size=6)),
)
def test_a_manifest_of_comma_separated_values_is_read_or_refused(header: list[str], cells: list[list[str]]) -> None:
    checked(list(read_csv([",".join(header) + "\n", *(",".join(line) + "\n" for line in cells)])))


@pytest.mark.usefixtures("writer")
@pytest.mark.parametrize("name", ["options", "metadata"])
@pytest.mark.parametrize("depth", [90, 99, 100, 101, 250, 260, 500, 900, 1100, 100_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_json_is_nested_a_hundred_deep_at_most(name: str, depth: int, begin: str, end: str) -> None:
    line = f'{{"video": "{VIDEO}", "audio": "{AUDIO}", "{name}": {{"x": {begin * depth}1{end * depth}}}}}'
    (only,) = found = list(read_jsonl([line]))
    assert (only.job is not None) == (depth < 100)
    if name == "metadata":
        checked(found)


def test_a_line_without_end_is_refused_and_the_next_one_read(tmp_path: Any) -> None:
    """Of a hundred megabytes no more are held than a line may have."""
    good = json.dumps({"video": VIDEO, "audio": AUDIO}).encode()
    path = tmp_path / "jobs.jsonl"
    with open(path, "wb") as file:
        file.write(b'{"video": "')
        file.seek(100 << 20)
        file.write(b'"}\n' + good + b"\n" + b" " * (LONGEST - len(good)) + good + b"\n" + good)
    manifest = open_manifest(str(path))
    with manifest.files:
        found = list(manifest.rows)  # type: ignore[arg-type]
    assert [one.line for one in found] == [1, 2, 3, 4]
    assert [one.job is not None for one in found] == [False, True, False, True]
    assert "longer than 8 MiB" in (found[0].problem or "")


async def test_a_line_without_end_on_standard_input_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    good = json.dumps({"video": VIDEO, "audio": AUDIO}).encode()
    chunks = [b'{"video": "', *[b"x" * (1 << 16)] * 1600, b'"}\n' + good + b"\n" + good[:5], good[5:], b""]
    sizes: list[int] = []

    async def next_chunk(descriptor: int) -> bytes:
        return chunks.pop(0)

    def read(lines: Any) -> Iterator[Row]:
        sizes.extend(map(len, lines))
        return read_jsonl(lines)

    monkeypatch.setattr("viseme.cli.manifests._next_chunk", next_chunk)
    monkeypatch.setattr("viseme.cli.manifests.read_jsonl", read)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=lambda: -1))
    found = [one async for one in open_manifest("-").rows]  # type: ignore[union-attr]
    assert [(one.line, one.job is not None) for one in found] == [(1, False), (2, True), (3, True)]
    assert max(sizes) <= LONGEST + (1 << 17)


@rounds(60)
@given(value=VALUES | st.text(max_size=500), limit=st.integers(2, 300))
def test_what_is_quoted_is_one_legible_line(value: Any, limit: int) -> None:
    shown = quote(value, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    assert quote(shown, limit) == shown


# -- what vendors write --------------------------------------------------------------------------------------------


def account(name: str) -> Account:
    if name == "rask":
        return Account("rask", client_id="id-of-a-client", client_secret="secret-of-a-client", allow_paid=True)
    return Account(name, api_key="key-of-an-account")


PROVIDERS = {name: adapter(account(name)) for name in ("sync", "jogg", "aimlapi", "rask")}
TALK = FilePart(path="/in/talk.mp4", size=4000, mtime=7, name="talk.mp4", content_type="video/mp4")
LOCAL, DUB = Job(video="talk.mp4", audio=AUDIO), Job(video="talk.mp4", language="es")


def batch(member: str) -> dict[str, Any]:
    return {"id": f"b1/{member}", "batch": "b1", "request": member}


def members() -> list[Member]:
    return [Member(job=Job(video=VIDEO, audio=AUDIO), intent=intent(id=f"i{n}"), handles={}) for n in range(20)]


FLOWS: dict[str, Callable[[Provider], Any]] = {
    "authorize": lambda ours: ours.authorize(None, 1_763_600_000.0),
    "start": lambda ours: ours.start(),
    "balance": lambda ours: ours.balance(),
    "cancel": lambda ours: ours.cancel({"id": "a", "stage": "lipsync"}),
    "upload": lambda ours: ours.upload(DUB if ours.name == "rask" else LOCAL, "video", TALK),
    "estimate": lambda ours: ours.estimate(Job(video=VIDEO, audio=AUDIO), 30.0),
}
BATCHES: dict[str, Callable[[Provider], Any]] = {
    "create many": lambda ours: ours.create_many(members()),
    "poll one of a batch": lambda ours: ours.poll(batch("i0"), now=1_763_600_000.0),
    "poll many of a batch": lambda ours: ours.poll_many([batch("i0"), batch("i1"), {"id": "c"}]),
    "find a batch": lambda ours: ours.reconcile(
        Job(video=VIDEO, audio=AUDIO), intent(id="i0", batch="b"), 1_763_600_100.0
    ),
}
NAMES = [
    *("id", "batchId", "batch_id", "status", "outputUrl", "metrics", "success_count", "total_generations", "error"),
    *("request_id", "requestId", "response", "generation", "result", "generationId", "created_at", "jobs", "code"),
    *("uploadUrl", "url", "expiresIn", "data", "sign_url", "asset_url", "access_token", "expires_in", "balance"),
    *("credits", "remaining_quota", "minutes", "used", "usage", "message", "detail", "estimatedGenerationCost"),
]
WORDS = ["COMPLETED", "FAILED", "PENDING", "b1", "i0", "i1", "https://a.example/x", "https://[", "\x1b[31m", "u\u202e"]
SAID = st.recursive(
    st.none() | st.booleans() | NUMBERS | NOISE | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=15,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), SAID, max_size=8)
JSON = (OBJECTS | SAID).map(lambda value: json.dumps(value).encode())
DEEP = st.builds(
    lambda begin, end, depth: begin * depth + b"1" + end * depth,
    *(st.sampled_from([b"[", b'{"data":', b'{"message":', b'[{"error":']), st.sampled_from([b"]", b"}", b"}]"])),
    st.sampled_from([200, 900, 1000, 50_000]),
)
BODIES = JSON | st.lists(JSON, max_size=3).map(b"\n".join) | DEEP | st.binary(max_size=40)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "location", "content-type"]), NOISE | st.sampled_from(["5", "/x"])
)
REPLIES = st.builds(
    Reply,
    status=st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 402, 403, 404, 409, 422, 429, 500, 503]),
    headers=HEADERS,
    body=BODIES,
)


def run(ours: Provider, flow: Any, answers: list[Reply]) -> None:
    """Carry a flow as the engine does; it ends within a few requests, with a value that can be written down."""
    try:
        step = next(flow)
        for _ in range(200):
            if isinstance(step, Save):
                step = flow.send(Reply(status=204))
                continue
            assert isinstance(step, Request)
            outcome = answers.pop(0) if answers else Reply(status=404)
            verdict = ours.verdict(step, outcome)
            if verdict is None:
                step = flow.send(outcome)
                continue
            assert legible(verdict.message) == verdict.message
            assert len(verdict.message) < 1500
            rows.text([verdict.code, verdict.handle, verdict.retry_after])
            step = flow.throw(Refused(verdict))
        raise AssertionError("the flow does not end")
    except StopIteration as end:
        written(end.value)
    except Refused as refusal:
        told(refusal)


def written(value: Any) -> None:
    if isinstance(value, Mapping):
        for item in value.values():
            written(item)
    elif attrs.has(type(value)):
        rows.text(attrs.asdict(value))


def begin(vendor: str, flow: str) -> Any:
    return {**FLOWS, **BATCHES}[flow](PROVIDERS[vendor])


def asks(vendor: str, flow: str) -> bool:
    """Whether a vendor's flow sends anything."""
    return next(begin(vendor, flow), None) is not None


@pytest.mark.parametrize(
    ("vendor", "flow"),
    [
        *((vendor, flow) for vendor in PROVIDERS for flow in FLOWS if asks(vendor, flow)),
        *(("sync", flow) for flow in BATCHES),
    ],
)
@rounds(30)
@given(answers=st.lists(REPLIES, min_size=1, max_size=4))
def test_no_reply_breaks_a_flow(vendor: str, flow: str, answers: list[Reply]) -> None:
    run(PROVIDERS[vendor], begin(vendor, flow), list(answers))


DATES = NOISE | st.from_regex(r"\A[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4,9} \d\d:\d\d:\d\d (GMT|[+-]\d{4})\Z")


@rounds(60)
@given(value=DATES, now=DATES)
def test_a_time_to_wait_is_read_or_left(value: str, now: str) -> None:
    seconds = retry_after(Reply(status=429, headers={"retry-after": value}))
    assert seconds is None or 0 <= seconds < 1e9
    courier: Any = SimpleNamespace(world=SimpleNamespace(now=lambda: 1_763_600_000.0))
    dated = Courier._dated(courier, {"retry-after": value, "date": now})
    assert dated is None or 0 <= dated <= 86_400


# -- what hosts send -----------------------------------------------------------------------------------------------

LENGTHS = st.sampled_from([0, 1, 7, 8, 16, 24, 1000, 2**31, 2**32 - 1]) | st.integers(0, 40)
BOXES = st.lists(
    st.builds(
        lambda length, kind, long, body: length.to_bytes(4) + kind + (long.to_bytes(8) if length == 1 else b"") + body,
        LENGTHS,
        st.sampled_from([b"ftyp", b"moov", b"mdat", b"moof", b"free", b"\0\0\0\0"]),
        st.sampled_from([0, 1, 8, 16, 32, 2**40, 2**63, 2**64 - 1]),
        st.binary(max_size=24),
    ),
    max_size=6,
).map(b"".join)


@rounds(60)
@given(data=BOXES | BOXES.map(lambda boxes: b"\0\0\0\x08ftyp" + boxes) | st.binary(max_size=80))
def test_a_file_is_whole_or_torn_or_something_else(data: bytes) -> None:
    why = torn_mp4(len(data), lambda offset, count: data[offset : offset + count])
    assert why is None or legible(why) == why


def test_a_file_of_countless_boxes_is_not_walked_to_its_end() -> None:
    """A gigabyte of empty boxes would be a hundred million reads."""
    reads = 0

    def read(offset: int, count: int) -> bytes:
        nonlocal reads
        reads += 1
        return (
            (b"\0\0\0\x08ftyp" if not offset else b"\0\0\0\x08free")[: count if count < 8 else 8]
            if count != 4
            else b"ftyp"
        )

    assert "boxes" in (torn_mp4(1 << 40, read) or "")
    assert reads < 1_000_000


@given(
    headers=st.dictionaries(st.just("content-type"), NOISE | st.sampled_from(["text/html; x", "video/mp4"])),
    head=st.binary(max_size=30) | st.sampled_from([b"<html", b"\xef\xbb\xbf<?xml", b'  {"', b"\0\0\0\x08ftyp"]),
)
def test_a_page_is_known_or_not(headers: dict[str, str], head: bytes) -> None:
    why = page_in_disguise(headers, head)
    assert why is None or legible(why) == why


FILM = video(5000)
SPANS = st.sampled_from(
    [
        *("bytes 0-4999/5000", "bytes 1000-4999/5000", "bytes 1000-4999/*", "bytes 1000-1/5000", "bytes 1000-4999/2"),
        *("bytes */5000", "bytes 9-9/9", "bytes -1-2/3", "bytes 1000-" + "9" * 400 + "/*", "bytes \u0661-2/3", "x", ""),
    ]
)


@rounds(66)
@given(
    script=st.lists(
        st.builds(
            lambda status, span, length, tag, start, cut: (status, span, length, tag, FILM[start : start + cut]),
            st.sampled_from([200, 200, 206, 206, 206, 416, 301, 503, 404]),
            SPANS,
            st.sampled_from(["", "5000", "4000", "-1", "9" * 30, "1e3", "\u0661", str(1 << 62)]),
            st.sampled_from(['"a"', '"b"', 'W/"a"', "\x1b[31m", '"\udcff"', '"' + "x" * 9000 + '"', ""]),
            st.sampled_from([0, 1000, 2500]),
            st.sampled_from([0, 10, 1000, 5000]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_a_host_says_of_ranges_and_lengths_the_file_is_whole_or_not_there(script: list[Any]) -> None:
    async def main() -> None:
        left = list(script)

        def serve(url: str, headers: Mapping[str, str]) -> Served:
            tag = headers.get("If-Range", '"')
            assert tag.isascii()
            assert tag.isprintable()
            assert len(tag) < 1000
            if not left:
                return Served(404)
            status, span, length, tag, body = left.pop(0)
            said = {"content-range": span, "content-length": length, "etag": tag, "content-type": "video/mp4"}
            return Served(status, {name: value for name, value in said.items() if value}, [body])

        world = simulated_world()
        world.network.serve = serve
        download = Download(world.world, world.network, Downloads(tries=3), "https://c.example/x", "out/x.mp4")
        try:
            landed = await download.run()
        except (DeadLink, Unfit, Broken) as error:
            told(error)
            assert "out/x.mp4" not in world.files.files
            return
        assert landed.bytes == len(world.files.files["out/x.mp4"])

    virtual_run(main)


# -- a damaged ledger ----------------------------------------------------------------------------------------------

CELLS = st.sampled_from(["", "{", "null", "[]", "{}", "7", '"x"', "[1,2]", "\t", "\t{", "x" * 50, "[" * 5000]) | (
    VALUES.map(json.dumps)
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger that holds a bit of everything; beside it is room for a damaged one."""
    path = tmp_path_factory.mktemp("ledger") / "pristine.db"

    async def main() -> None:
        async with SqliteLedger(path, blocking=in_line) as ledger:
            await ledger.next_run()
            first, _ = await ledger.add([row("a"), row("b")])
            await ledger.commit(creating(first))
            await ledger.keep_upload(upload("digest"))
            await ledger.place_order(Order(verb="cancel", key="k"))
            await ledger.write_gates({"a": {"at": 1.0}})

    asyncio.run(main())
    return path


async def read_all(path: Path, *, read_only: bool) -> None:
    """Ask everything, as a run and as a look at a ledger do."""
    async with SqliteLedger(path, blocking=in_line, read_only=read_only) as ledger:
        questions: list[Callable[[], Any]] = [
            lambda: ledger.by_keys(["a"]),
            lambda: ledger.queued("account", 0, None, 9),
            lambda: ledger.open_tasks(0, 9),
            lambda: ledger.all_tasks(0, 9),
            ledger.seats,
            lambda: ledger.intents("account", 0.0),
            lambda: ledger.events(0, 9),
            ledger.counts,
            ledger.spending,
            lambda: ledger.upload("account", "digest"),
            ledger.gates,
        ]
        for question in questions:
            with suppress(LedgerError):
                await question()
        if not read_only:
            with suppress(LedgerError):
                await ledger.take_orders()


@rounds(30)
@given(
    table=st.sampled_from(["tasks", "jobs", "events", "intents", "seats", "uploads"]),
    cell=CELLS | st.binary(max_size=20),
    read_only=st.booleans(),
)
def test_a_damaged_row_is_refused_or_read(pristine: Path, table: str, cell: str | bytes, read_only: bool) -> None:
    path, whole = pristine.with_name("viseme.db"), pristine.read_bytes()
    path.write_bytes(whole)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {table} SET body = ?", (cell,))
        connection.commit()
    asyncio.run(read_all(path, read_only=read_only))


@rounds(30)
@given(
    marks=st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=64)), min_size=1, max_size=6),
    keep=st.sampled_from([1.0, 1.0, 0.5, 0.01]),
    read_only=st.booleans(),
)
def test_a_damaged_file_is_refused_or_read(
    pristine: Path, marks: list[tuple[int, bytes]], keep: float, read_only: bool
) -> None:
    path, whole = pristine.with_name("viseme.db"), pristine.read_bytes()
    damaged = bytearray(whole)
    for at, data in marks:
        at %= len(damaged)
        damaged[at : at + len(data)] = data
    path.write_bytes(bytes(damaged[: int(len(damaged) * keep)]))
    for tail in ("-wal", "-shm"):
        Path(f"{path}{tail}").unlink(missing_ok=True)
    with suppress(LedgerError):
        asyncio.run(read_all(path, read_only=read_only))
