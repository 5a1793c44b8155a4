"""The inspector over real HTTP and real media: what it finds out, and how little it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from blockbuster import blockbuster_ctx
from tests.support.clips import (
    Host,
    answering,
    endless,
    hosting,
    make_clip,
    make_film,
    packed,
    refusing,
    typed,
    whole,
    wide_film,
)
from tests.support.virtual import MemoryNetwork, simulated_world, virtually
from tests.support.wire import Arrived, Visit, serving

from viseme.engine.preflight import inspector as inspector_module
from viseme.engine.preflight import link as link_module
from viseme.engine.preflight.facts import Facts, Reach
from viseme.engine.preflight.inspector import Inspector
from viseme.engine.transport import Broken
from viseme.engine.world import real_world

HEAD = 512 * 1024


@pytest.fixture(autouse=True)
def unblocked() -> Iterator[None]:
    """Nothing here may block the event loop."""
    with blockbuster_ctx("viseme"):
        yield


@pytest.fixture
async def inspector() -> AsyncIterator[Inspector]:
    world = real_world()
    async with world.connect() as transport:
        yield Inspector(world, transport)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with hosting() as host:
        yield host


async def made(make: object, *given: object, **named: object) -> Path:
    """Make a clip off the loop."""
    return await asyncio.to_thread(lambda: make(*given, **named))  # type: ignore[operator]


KINDS = {
    "mp4": ("h264", "aac", 2.0),
    "mov": ("h264", "aac", 2.0),
    "mkv": ("h264", "aac", 2.0),
    "webm": ("vp8", "opus", 2.0),
    "avi": ("h264", "aac", 2.0),
    "ts": ("h264", "aac", 2.0),
    "wav": (None, "pcm_s16le", 2.0),
    "mp3": (None, "mp3", 2.0),
    "ogg": (None, "opus", 2.0),
    "flac": (None, "flac", 2.0),
    "m4a": (None, "aac", 2.0),
}


@pytest.mark.parametrize("ending", KINDS)
async def test_media_of_many_kinds_are_measured_alike_here_and_there(
    inspector: Inspector, host: Host, tmp_path: Path, ending: str
) -> None:
    clip = await made(make_clip, tmp_path / f"clip.{ending}")
    size = (await asyncio.to_thread(clip.stat)).st_size
    link = host.put(clip.name, await asyncio.to_thread(clip.read_bytes))
    for facts in (await inspector.facts(str(clip), private=True), await inspector.facts(link, private=True)):
        video, audio, seconds = KINDS[ending]
        assert (facts.reach, facts.fault, facts.doubt) == (Reach.HERE, None, None)
        assert (facts.container, facts.bytes, facts.measured) == (ending, size, True)
        assert (facts.video, facts.audio) == (video, audio)
        assert facts.seconds == pytest.approx(seconds, abs=0.3)
        assert facts.rough is (ending in ("mp3", "ts"))
        assert (facts.width, facts.height) == ((160, 80) if video else (None, None))


async def test_a_picture_is_a_picture(inspector: Inspector, tmp_path: Path) -> None:
    facts = await inspector.facts(str(await made(make_clip, tmp_path / "face.jpg")), private=True)
    assert (facts.picture, facts.container, facts.width, facts.height) == (True, "jpg", 320, 320)
    assert (facts.video, facts.seconds) == (None, None)


async def test_nothing_but_a_head_and_a_piece_is_asked_for_and_without_credentials(
    inspector: Inspector, host: Host, tmp_path: Path
) -> None:
    film = await made(make_film, tmp_path / "a.mp4", faststart=True)
    link = host.put("a.mp4", await asyncio.to_thread(film.read_bytes))
    await inspector.facts(link, private=True)
    assert host.asked == [("HEAD", "a.mp4", ""), ("GET", "a.mp4", f"bytes=0-{HEAD - 1}")]
    assert not {"authorization", "x-api-key", "cookie"} & {name for headers in host.headers for name in headers}


async def test_an_index_at_the_end_of_a_large_film_is_fetched_alone(
    inspector: Inspector, host: Host, tmp_path: Path
) -> None:
    film = await made(wide_film, tmp_path / "wide.mp4")
    data = await asyncio.to_thread(film.read_bytes)
    assert len(data) > 4 * HEAD
    facts = await inspector.facts(host.put("wide.mp4", data), private=True)
    assert (facts.seconds, facts.video, facts.width) == (4.0, "mjpeg", 640)
    spans = [span.removeprefix("bytes=").split("-") for verb, _, span in host.asked if verb == "GET"]
    assert len(spans) == 2
    assert int(spans[1][0]) > HEAD


async def test_without_ranges_the_head_alone_is_read_and_the_rest_is_left_open(
    inspector: Inspector, host: Host, tmp_path: Path
) -> None:
    film = await made(wide_film, tmp_path / "wide.mp4")
    data = await asyncio.to_thread(film.read_bytes)
    late = await inspector.facts(host.put("late.mp4", data, whole), private=True)
    assert (late.reach, late.fault, late.measured, late.bytes) == (Reach.HERE, None, False, len(data))
    assert late.doubt is not None
    assert host.times("late.mp4") == 1
    early = await made(make_film, tmp_path / "early.mp4", faststart=True)
    found = await inspector.facts(host.put("early.mp4", await asyncio.to_thread(early.read_bytes), whole), private=True)
    assert (found.seconds, found.doubt) == (2.0, None)


async def test_a_reply_without_length_is_measured_where_it_is_short(
    inspector: Inspector, host: Host, tmp_path: Path
) -> None:
    film = await made(make_film, tmp_path / "a.mp4")
    data = await asyncio.to_thread(film.read_bytes)
    facts = await inspector.facts(host.put("a.mp4", data, endless), private=True)
    assert (facts.seconds, facts.bytes) == (2.0, len(data))


@pytest.mark.parametrize("status", [403, 405, 501])
async def test_a_host_that_refuses_head_is_asked_for_the_piece(
    inspector: Inspector, host: Host, tmp_path: Path, status: int
) -> None:
    film = await made(make_film, tmp_path / "a.mp4")
    link = host.put("a.mp4", await asyncio.to_thread(film.read_bytes), refusing("HEAD", status))
    facts = await inspector.facts(link, private=True)
    assert (facts.reach, facts.seconds) == (Reach.HERE, 2.0)


@pytest.mark.parametrize(
    ("status", "reach"),
    [
        (404, Reach.GONE),
        (410, Reach.GONE),
        (401, Reach.REFUSED),
        (403, Reach.REFUSED),
        (400, Reach.REFUSED),
        (408, Reach.SILENT),
        (429, Reach.SILENT),
        (500, Reach.SILENT),
        (503, Reach.SILENT),
    ],
)
async def test_what_a_host_answers_instead_of_the_file(
    inspector: Inspector, host: Host, status: int, reach: Reach
) -> None:
    facts = await inspector.facts(host.put("x", b"", answering(status)), private=True)
    assert (facts.reach, facts.answer) == (reach, f"HTTP {status}")


async def test_a_404_for_head_alone_is_not_believed(inspector: Inspector, host: Host, tmp_path: Path) -> None:
    film = await made(make_film, tmp_path / "a.mp4")
    link = host.put("a.mp4", await asyncio.to_thread(film.read_bytes), refusing("HEAD", 404))
    assert (await inspector.facts(link, private=True)).reach is Reach.HERE


FAULTS = {
    "a page": (b"<html><body>log in</body></html>", typed("text/html"), "is a web page, not the media itself"),
    "a page called a film": (b"<!doctype html><p>", typed("video/mp4"), "is a web page, not the media itself"),
    "a message": (b'{"error": 1}', typed("application/json"), "is a message (application/json), not the media itself"),
    "nothing": (b"", None, "is empty"),
    "nothing at all": (b"", whole, "is empty"),
    "nonsense": (b"\0nonsense\xfe" * 1_000_000, None, "is not media that FFmpeg can read"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_what_is_certainly_no_medium_is_a_fault(inspector: Inspector, host: Host, name: str) -> None:
    data, manner, fault = FAULTS[name]
    facts = await inspector.facts(host.put("x", data, manner), private=True)
    assert (facts.reach, facts.fault) == (Reach.HERE, fault)


async def test_a_playlist_has_nobody_ask_for_what_it_names(inspector: Inspector, host: Host, tmp_path: Path) -> None:
    film = await made(make_film, tmp_path / "a.ts")
    segment = host.put("a.ts", await asyncio.to_thread(film.read_bytes))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2.0,\n{segment}\n#EXT-X-ENDLIST\n".encode()
    local = tmp_path / "list.m3u8"
    await asyncio.to_thread(local.write_bytes, playlist)
    for source in (host.put("list.m3u8", playlist), str(local)):
        facts = await inspector.facts(source, private=True)
        assert facts.fault == "is not media that FFmpeg can read"
    assert host.times("a.ts") == 0


async def test_a_description_of_a_stream_is_not_opened(inspector: Inspector, host: Host) -> None:
    session = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    facts = await inspector.facts(host.put("x.sdp", session), private=True)
    assert (facts.measured, facts.fault) == (False, None)
    assert facts.doubt is not None


async def test_a_film_that_breaks_off_is_a_fault_also_by_its_head_alone(
    inspector: Inspector, host: Host, tmp_path: Path
) -> None:
    film = await made(wide_film, tmp_path / "wide.mp4")
    data = await asyncio.to_thread(film.read_bytes)
    facts = await inspector.facts(host.put("torn.mp4", data[: 3 * HEAD]), private=True)
    assert facts.fault is not None
    assert facts.fault.startswith(f"is cut off: {3 * HEAD} of at least ")
    torn = tmp_path / "torn.mp4"
    await asyncio.to_thread(torn.write_bytes, data[: 3 * HEAD])
    assert (await inspector.facts(str(torn), private=True)).fault == facts.fault


async def test_a_compressed_reply_is_left_open(inspector: Inspector, host: Host, tmp_path: Path) -> None:
    film = await made(make_film, tmp_path / "a.mp4")
    link = host.put("a.mp4", await asyncio.to_thread(film.read_bytes), packed)
    facts = await inspector.facts(link, private=True)
    assert (facts.reach, facts.fault, facts.bytes) == (Reach.HERE, None, None)
    assert facts.doubt == "is sent compressed (gzip), so it was not looked at"


async def test_a_host_that_is_too_slow_is_silent(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "_PATIENCE", 0.1)

    async def never(visit: Visit, _: Arrived) -> None:
        await asyncio.Event().wait()

    async with serving(never) as server:
        facts = await inspector.facts(f"{server.base}/a.mp4", private=True)
    assert (facts.reach, facts.answer) == (Reach.SILENT, "no answer within 0.1 s")


async def test_a_host_that_stops_in_the_middle_is_judged_by_what_came(
    inspector: Inspector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_PATIENCE", 0.3)
    film = await made(make_film, tmp_path / "a.mp4", faststart=True)
    data = await asyncio.to_thread(film.read_bytes)

    async def stops(visit: Visit, _: Arrived) -> None:
        await visit.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:-50])
        await asyncio.Event().wait()

    async with serving(stops) as server:
        facts = await inspector.facts(f"{server.base}/a.mp4", private=True)
    assert (facts.reach, facts.seconds, facts.bytes) == (Reach.HERE, 2.0, len(data))


async def test_a_redirect_is_followed_and_one_to_a_private_address_is_not(inspector: Inspector, host: Host) -> None:
    host.put("b", b"<html>")
    link = host.put("a", b"", answering(302, Location="/b"))
    assert (await inspector.facts(link, private=True)).fault == "is a web page, not the media itself"
    facts = await inspector.facts(link.replace("127.0.0.1", "localhost"), private=False)
    assert facts.reach is Reach.SILENT
    assert "is a private address" in facts.answer


async def test_one_source_is_asked_for_once_however_many_ask(inspector: Inspector, host: Host, tmp_path: Path) -> None:
    film = await made(make_film, tmp_path / "a.mp4")
    link = host.put("a.mp4", await asyncio.to_thread(film.read_bytes))
    found: list[Facts] = []

    async def ask() -> None:
        found.append(await inspector.facts(link, private=True))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(ask)
    found.append(await inspector.facts(link, private=True))
    assert len(set(map(id, found))) == 1
    assert (host.times("a.mp4", "HEAD"), host.times("a.mp4")) == (1, 1)


async def test_one_who_is_called_off_leaves_the_others_their_answer(inspector: Inspector, host: Host) -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def slow(request: object, data: bytes) -> object:
        began.set()
        await go.wait()
        return await answering(404)(request, data)  # type: ignore[arg-type]

    link = host.put("x", b"", slow)  # type: ignore[arg-type]
    first = asyncio.create_task(inspector.facts(link, private=True))
    await began.wait()
    second = asyncio.create_task(inspector.facts(link, private=True))
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert (await asyncio.wait_for(second, 10)).reach is Reach.GONE


async def test_a_few_at_a_time(inspector: Inspector, host: Host) -> None:
    under_way, most = 0, 0

    async def slow(request: object, data: bytes) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return await answering(404)(request, data)  # type: ignore[arg-type]

    links = [host.put(f"x{number}", b"", slow) for number in range(40)]  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:
        for link in links:
            group.start_soon(lambda link=link: inspector.facts(link, private=True))
    assert 1 < most <= 8


async def test_a_local_file_that_changes_is_looked_at_anew(inspector: Inspector, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    assert (await inspector.facts(str(path), private=True)).reach is Reach.GONE
    await asyncio.to_thread(path.write_bytes, b"")
    assert (await inspector.facts(str(path), private=True)).fault == "is empty"
    await made(make_film, path)
    assert (await inspector.facts(str(path), private=True)).seconds == 2.0


async def test_what_was_looked_at_is_known_and_nothing_is_asked_for_it(inspector: Inspector, tmp_path: Path) -> None:
    path, other = str(await made(make_film, tmp_path / "a.mp4")), str(tmp_path / "b.mp4")
    assert (inspector.looked, await inspector.known(path, private=True)) == (False, None)
    facts = await inspector.facts(path, private=True)
    assert (inspector.looked, await inspector.known(path, private=True)) == (True, facts)
    assert await inspector.known(other, private=True) is None


async def test_without_pyav_what_the_first_bytes_tell_is_told_all_the_same(host: Host, tmp_path: Path) -> None:
    film = await made(make_film, tmp_path / "a.mp4")
    link = host.put("a.mp4", await asyncio.to_thread(film.read_bytes))
    page = host.put("page", b"<html>")
    world = real_world()
    async with world.connect() as transport:
        inspector = Inspector(world, transport, measuring=False)
        facts = await inspector.facts(link, private=True)
        assert (facts.container, facts.measured, facts.seconds, facts.doubt) == ("mp4", False, None, None)
        assert (await inspector.facts(page, private=True)).fault == "is a web page, not the media itself"


@virtually
async def test_a_dead_host_is_not_asked_for_ever() -> None:
    def refuse(url: str, headers: object) -> object:
        raise Broken("cannot connect to dead.example: no route")

    network = MemoryNetwork(serve=refuse)  # type: ignore[arg-type]
    simulation = simulated_world(network=network)
    inspector = Inspector(simulation.world, network)
    for number in range(100):
        facts = await inspector.facts(f"https://dead.example/{number}.mp4", private=False)
        assert facts.reach is Reach.SILENT
    assert len(network.fetched) == 3
    await simulation.world.sleep(61)
    await inspector.facts("https://dead.example/later.mp4", private=False)
    assert len(network.fetched) == 4


@virtually
async def test_what_is_remembered_is_bounded_and_grows_old() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspector_module, "_KNOWN", 10)
        await remembers()


async def remembers() -> None:
    network = MemoryNetwork()
    simulation = simulated_world(network=network)
    inspector = Inspector(simulation.world, network)
    link = "https://host.example/a.mp4"
    await inspector.facts(link, private=False)
    await inspector.facts(link, private=False)
    assert len(network.fetched) == 2  # HEAD and GET
    await simulation.world.sleep(3601)
    await inspector.facts(link, private=False)
    assert len(network.fetched) == 4
    for number in range(25):
        await inspector.facts(f"https://host.example/{number}.mp4", private=False)
    assert len(inspector._known) == 10
