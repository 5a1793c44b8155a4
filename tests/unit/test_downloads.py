"""One download: complete and checked under its final name, or not there at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import itertools
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.video import box, video
from tests.support.virtual import (
    MemoryFiles,
    MemoryNetwork,
    Served,
    Simulation,
    settled,
    simulated_world,
    virtual_run,
    virtually,
)

from viseme.config import Downloads
from viseme.engine.disk import RealDisk
from viseme.engine.downloads.download import DeadLink, Download, Landed, Unfit, describe
from viseme.engine.downloads.places import Places
from viseme.engine.transport import Broken

URL = "https://cdn.example/out.mp4?signature=1"
FINAL = "out/k.mp4"
PART, TAG = FINAL + ".part", FINAL + ".part.tag"
MIB = 1 << 20
FILE = video(3 * MIB + 12345)
SMALL = video(1000)


@define
class Storage:
    """An object store with one file; ``script`` spoils its replies one after the other.

    Attributes:
        ranges: whether it obeys ranges.
        piece: how many bytes come at once.
    """

    content: bytes = SMALL
    etag: str | None = '"v1"'
    modified: str | None = None
    ranges: bool = True
    piece: int = 64 * 1024
    type: str = "video/mp4"
    more: dict[str, str] = field(factory=dict[str, str])
    script: list[Callable[[Served], Served]] = field(factory=list[Callable[[Served], Served]])
    seen: list[dict[str, str]] = field(factory=list[dict[str, str]])

    def __call__(self, url: str, headers: Mapping[str, str]) -> Served:
        assert url == URL
        self.seen.append(dict(headers))
        served = self._serve(headers)
        return self.script.pop(0)(served) if self.script else served

    def _serve(self, headers: Mapping[str, str]) -> Served:
        said = {"content-type": self.type, "accept-ranges": "bytes", **self.more}
        if self.etag is not None:
            said["etag"] = self.etag
        if self.modified is not None:
            said["last-modified"] = self.modified
        start = 0
        wanted = headers.get("Range")
        if wanted and self.ranges and headers.get("If-Range") in (self.etag, self.modified):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.content):
                return Served(416, {"content-range": f"bytes */{len(self.content)}"})
            said["content-range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        said["content-length"] = str(len(self.content) - start)
        body = self.content[start:]
        pieces = [body[at : at + self.piece] for at in range(0, len(body), self.piece)]
        return Served(206 if start else 200, said, pieces)

    @property
    def asked(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.seen]


def cut(count: int) -> Callable[[Served], Served]:
    """The connection is reset after so many bytes."""

    def spoil(served: Served) -> Served:
        body = b"".join(served.pieces)[:count]
        return Served(served.status, served.headers, [body], Broken("reset"))

    return spoil


def ends_early(count: int) -> Callable[[Served], Served]:
    """The body ends after so many bytes as if that were all."""

    def spoil(served: Served) -> Served:
        return Served(served.status, served.headers, [b"".join(served.pieces)[:count]])

    return spoil


def refuses(status: int, **headers: str) -> Callable[[Served], Served]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Served(status, named, [b"no"])


def gone(_: Served) -> Served:
    raise Broken("cannot connect")


def says(status: int | None = None, **headers: str) -> Callable[[Served], Served]:
    """The reply as it is, with other words about it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda served: Served(status or served.status, {**served.headers, **named}, served.pieces)


def simulation(storage: Storage, files: MemoryFiles | None = None) -> Simulation:
    return simulated_world(files=files, network=MemoryNetwork(serve=storage))


def download(world: Simulation, *, video: bool = True, **limits: Any) -> Download:
    return Download(world.world, world.network, Downloads(**limits), URL, FINAL, video=video)


def clean(world: Simulation, content: bytes) -> None:
    """Only the file is there, whole."""
    assert world.files.files == {FINAL: content}
    assert world.files.durable == {FINAL: content}


async def fetched(storage: Storage, **limits: Any) -> Simulation:
    """Fetch the storage's file and see that it arrived."""
    world = simulation(storage)
    landed = await download(world, **limits).run()
    assert landed == Landed(len(storage.content), hashlib.sha256(storage.content).hexdigest())
    clean(world, storage.content)
    return world


# -- all well ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [SMALL, FILE, video(MIB), video(2 * MIB)])
@virtually
async def test_a_file_is_fetched_in_one_request(content: bytes) -> None:
    storage = Storage(content)
    await fetched(storage)
    assert storage.seen == [{"Accept-Encoding": "identity", "Accept": "*/*"}]


@virtually
async def test_a_file_is_synced_before_it_gets_its_name_and_its_folder_after() -> None:
    world = await fetched(Storage(FILE))
    assert [verb for verb, path in world.files.log if path != TAG][-4:] == ["append", "sync", "rename", "sync folder"]


@virtually
async def test_a_body_without_declared_length_is_taken_to_its_end() -> None:
    storage = Storage(script=[lambda s: Served(200, {"content-type": "video/mp4"}, s.pieces)])
    await fetched(storage)


@virtually
async def test_a_body_that_comes_byte_by_byte_is_taken() -> None:
    await fetched(Storage(piece=1))


@virtually
async def test_a_body_with_empty_pieces_is_taken() -> None:
    storage = Storage(script=[lambda s: Served(200, s.headers, [b"", *s.pieces, b""])])
    await fetched(storage)


@virtually
async def test_a_real_video_that_is_called_text_is_taken_however_small_its_first_piece() -> None:
    await fetched(Storage(type="text/plain", piece=3))


@virtually
async def test_other_containers_than_mp4_are_taken() -> None:
    await fetched(Storage(b"\x1aE\xdf\xa3" + b"webm" * 300, type="video/webm"))


@virtually
async def test_an_older_file_under_the_final_name_is_replaced() -> None:
    files = MemoryFiles(files={FINAL: b"old"}, durable={FINAL: b"old"})
    world = simulation(Storage(), files)
    await download(world).run()
    clean(world, SMALL)


def test_a_large_body_takes_constant_memory() -> None:
    size = 96 * MIB
    head = box(b"ftyp", b"isom\0\0\2\0") + box(b"moov", b"m") + size.to_bytes(4) + b"mdat"
    length = 256 * 1024

    def pieces() -> Iterator[bytes]:
        yield head
        for start in range(0, size - 8, length):
            yield bytes(min(length, size - 8 - start))

    flushes: list[int] = []

    class Sink(MemoryFiles):
        """Counts what it is given, and keeps the first bytes only."""

        def append(self, path: str, data: list[bytes], *, at: int) -> None:
            assert path == TAG or at == sum(flushes)
            if path == PART:
                flushes.append(sum(map(len, data)))
                self.files.setdefault(path, b"".join(data)[:64])

        def settle(self, part: str, final: str) -> None:
            pass

    total = len(head) + size - 8
    storage = Storage(script=[lambda s: Served(200, {**s.headers, "content-length": str(total)}, pieces())])
    sink = Sink()

    async def main() -> Landed:
        return await download(simulation(storage, sink)).run()

    tracemalloc.start()
    try:
        landed = virtual_run(main)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert landed.bytes == total
    assert peak < 10 * MIB
    assert all(MIB <= flush <= 4 * MIB for flush in flushes[:-1])
    assert flushes[0] < 2 * MIB
    assert flushes[-2] == 4 * MIB


@virtually
async def test_more_is_taken_while_what_came_is_written() -> None:
    taken = anyio.Event()

    def pieces() -> Iterator[bytes]:
        yield FILE[: MIB + 1]
        yield FILE[MIB + 1 : MIB + 1000]
        taken.set()
        yield FILE[MIB + 1000 :]

    simulated = simulation(Storage(FILE, script=[lambda s: Served(200, s.headers, pieces())]))

    async def blocking(function: Callable[[], Any]) -> Any:
        result = await simulated.world.blocking(function)
        if PART in simulated.files.files:
            await taken.wait()  # the disk is slower than the network
        return result

    world = evolve(simulated.world, blocking=blocking)
    await Download(world, simulated.network, Downloads(), URL, FINAL).run()
    clean(simulated, FILE)


@virtually
async def test_a_slow_write_of_a_file_that_was_replaced_meanwhile_is_no_part_of_the_new_one() -> None:
    storage = Storage(
        FILE, script=[lambda s: Served(200, s.headers, [b"x" * (MIB + 1)], Broken("reset"))], ranges=False
    )
    simulated, slow = simulation(storage), iter([0, 60])

    async def blocking(function: Callable[[], Any]) -> Any:
        await anyio.sleep(next(slow, 0))
        return await simulated.world.blocking(function)

    world = evolve(simulated.world, blocking=blocking)
    landed = await Download(world, simulated.network, Downloads(), URL, FINAL).run()
    assert landed.sha256 == hashlib.sha256(FILE).hexdigest()
    clean(simulated, FILE)


@virtually
async def test_a_download_that_is_called_off_ends_when_its_last_write_has_ended() -> None:
    simulated = simulation(Storage(FILE, script=[lambda s: Served(200, s.headers, [FILE[: MIB + 1], b"", FILE])]))
    began, ended = anyio.Event(), False

    async def blocking(function: Callable[[], Any]) -> Any:
        nonlocal ended
        if began.is_set() or not simulated.network.fetched:
            return await simulated.world.blocking(function)
        began.set()
        await anyio.sleep(5)
        ended = True
        return await simulated.world.blocking(function)

    world = evolve(simulated.world, blocking=blocking)
    async with anyio.create_task_group() as group:
        group.start_soon(Download(world, simulated.network, Downloads(), URL, FINAL).run)
        await began.wait()
        group.cancel_scope.cancel()
    assert ended
    assert simulated.files.files[PART] == FILE[: MIB + 1]


# -- breaking off and going on ---------------------------------------------------------------------------------------


@virtually
async def test_a_reset_in_the_middle_is_taken_up_by_a_range_of_the_same_version() -> None:
    storage = Storage(FILE, script=[cut(1_500_000), cut(700_000)])
    await fetched(storage)
    assert storage.asked == [None, "bytes=1500000-", "bytes=2200000-"]
    assert [seen.get("If-Range") for seen in storage.seen] == [None, '"v1"', '"v1"']


@virtually
async def test_a_body_that_ends_early_is_taken_up() -> None:
    storage = Storage(FILE, script=[ends_early(1_000_000)])
    await fetched(storage)
    assert storage.asked == [None, "bytes=1000000-"]


@virtually
async def test_a_server_that_answers_a_range_with_the_whole_starts_the_file_anew() -> None:
    storage = Storage(FILE, ranges=False, script=[cut(2_000_000)])
    await fetched(storage)
    assert storage.asked == [None, "bytes=2000000-"]


@virtually
async def test_a_file_that_changed_meanwhile_is_fetched_anew() -> None:
    storage = Storage(FILE)

    def changes(served: Served) -> Served:
        spoilt = cut(2_000_000)(served)
        storage.content, storage.etag = video(2 * MIB)[:-1] + b"!", '"v2"'
        return spoilt

    storage.script = [changes]
    world = simulation(storage)
    await download(world).run()
    clean(world, storage.content)


@pytest.mark.parametrize(
    "said",
    [
        "bytes 5-3157772/3158073", "bytes 1500000-3157772/999", "bytes 1500000-3157772", "items 1-2/3", "",
        "bytes 1500001-3158072/3158073", "bytes 1500000-3158072/" + "9" * 5000,
    ],
)  # fmt: skip
@virtually
async def test_a_part_that_does_not_fit_starts_the_file_anew(said: str) -> None:
    storage = Storage(FILE, script=[cut(1_500_000), says(content_range=said)])
    await fetched(storage)
    assert storage.asked[:3] == [None, "bytes=1500000-", None]


@virtually
async def test_a_part_of_a_length_that_is_not_told_is_taken() -> None:
    storage = Storage(FILE, script=[cut(1_500_000), says(content_range=f"bytes 1500000-{len(FILE) - 1}/*")])
    await fetched(storage)
    assert storage.asked == [None, "bytes=1500000-"]


@virtually
async def test_a_part_that_brings_more_than_it_says_starts_the_file_anew() -> None:
    storage = Storage(FILE, script=[cut(1_500_000), lambda s: Served(206, s.headers, [*s.pieces, b"and more"])])
    await fetched(storage)


@virtually
async def test_a_range_beyond_the_end_of_a_complete_file_is_the_end() -> None:
    """The last byte came, then the connection broke, and only then is the end seen."""
    storage = Storage(FILE, script=[cut(len(FILE))])
    await fetched(storage)
    assert storage.asked == [None, f"bytes={len(FILE)}-"]


@virtually
async def test_a_range_that_cannot_be_had_of_an_incomplete_file_starts_it_anew() -> None:
    storage = Storage(FILE, script=[cut(1_500_000), refuses(416)])
    await fetched(storage)
    assert storage.asked == [None, "bytes=1500000-", None]


@pytest.mark.parametrize(
    ("etag", "modified", "used"),
    [
        ('W/"v1"', None, None),
        (None, "Sat, 21 Nov 2026 01:02:03 GMT", "Sat, 21 Nov 2026 01:02:03 GMT"),
        ('W/"v1"', "Sat, 21 Nov 2026 01:02:03 GMT", "Sat, 21 Nov 2026 01:02:03 GMT"),
        ('"v1"', "Sat, 21 Nov 2026 01:02:03 GMT", '"v1"'),
        (None, None, None),
        ("v1", None, None),
    ],
)
@virtually
async def test_only_what_proves_the_same_version_is_used_to_go_on(
    etag: str | None, modified: str | None, used: str | None
) -> None:
    storage = Storage(FILE, etag=etag, modified=modified, script=[cut(1_500_000)])
    await fetched(storage)
    assert storage.seen[1].get("If-Range") == used
    assert storage.asked[1] == ("bytes=1500000-" if used else None)


@virtually
async def test_a_server_that_takes_no_ranges_is_asked_for_none() -> None:
    storage = Storage(FILE, more={"accept-ranges": "none"}, script=[cut(1_500_000)])
    await fetched(storage)
    assert storage.asked == [None, None]


@pytest.mark.parametrize("trouble", [gone, refuses(500), refuses(503), refuses(429), refuses(304), refuses(204)])
@virtually
async def test_trouble_that_passes_is_sat_out(trouble: Callable[[Served], Served]) -> None:
    await fetched(Storage(script=[trouble] * 3))


@virtually
async def test_vain_tries_are_bounded_and_what_came_is_kept() -> None:
    storage = Storage(FILE, script=[cut(1_200_000), *[gone] * 20])
    world = simulation(storage)
    with pytest.raises(Broken, match="5 times in a row"):
        await download(world, tries=5).run()
    assert len(storage.seen) == 6
    assert world.files.files == {PART: FILE[:1_200_000], TAG: b'1\n"v1"'}
    assert world.network.open == 0


@virtually
async def test_tries_that_bring_something_do_not_count() -> None:
    storage = Storage(FILE, script=[step for _ in range(20) for step in (cut(100_000), gone)])
    await fetched(storage, tries=3)


@virtually
async def test_starting_anew_again_and_again_is_no_progress() -> None:
    storage = Storage(FILE, ranges=False, script=[cut(1_000_000)] * 50)
    with pytest.raises(Broken):
        await download(simulation(storage), tries=4).run()
    assert len(storage.seen) == 5


@virtually
async def test_waits_between_vain_tries_grow_and_stay_bounded() -> None:
    times: list[float] = []
    world = simulation(storage := Storage(script=[gone] * 20))

    def serve(url: str, headers: Mapping[str, str]) -> Served:
        times.append(world.world.monotonic())
        return storage(url, headers)

    world.network.serve = serve
    with pytest.raises(Broken):
        await download(world, tries=12).run()
    waits = [b - a for a, b in itertools.pairwise(times)]
    assert waits[0] >= 0.5
    assert max(waits) <= 37.5
    assert waits[-1] >= 30


# -- over a restart ------------------------------------------------------------------------------------------------


@virtually
async def test_a_part_of_an_earlier_process_is_taken_up() -> None:
    files = MemoryFiles(files={PART: FILE[:2_000_000], TAG: b'1\n"v1"'})
    storage = Storage(FILE)
    world = simulation(storage, files)
    landed = await download(world).run()
    assert landed.sha256 == hashlib.sha256(FILE).hexdigest()
    assert storage.asked == ["bytes=2000000-"]
    clean(world, FILE)


@virtually
async def test_a_part_of_another_version_is_thrown_away() -> None:
    files = MemoryFiles(files={PART: b"x" * 2_000_000, TAG: b'1\n"v0"'})
    world = simulation(Storage(FILE), files)
    await download(world).run()
    clean(world, FILE)


@pytest.mark.parametrize("left", [{PART: b"x" * 99}, {PART: b"", TAG: b'1\n"v1"'}, {TAG: b'1\n"v1"'}])
@virtually
async def test_a_part_of_which_nothing_is_known_is_removed(left: dict[str, bytes]) -> None:
    storage = Storage()
    world = simulation(storage, MemoryFiles(files=left))
    await download(world).run()
    assert storage.asked == [None]
    clean(world, SMALL)


@virtually
async def test_what_a_small_file_left_as_it_landed_is_not_taken_for_what_an_old_note_tells_of() -> None:
    """A note without its part, which a person removed, say; then the process dies with the new bytes half written."""
    files = MemoryFiles({TAG: b'1\n"v1"'})
    storage = Storage(SMALL, etag='"v0"')

    def die(verb: str, path: str) -> None:
        if verb == "sync":
            raise OSError("died")

    files.trouble = die
    with pytest.raises(OSError, match="died"):
        await evolve(download(simulation(storage, files)), fresh=True).run()
    assert {PART, TAG} <= files.files.keys()
    files.trouble, storage.etag, storage.seen = (lambda verb, path: None), '"v1"', []
    world = simulation(storage, files)
    await download(world).run()
    assert storage.asked == [None]
    clean(world, SMALL)


@virtually
async def test_a_part_that_was_already_whole_is_not_torn() -> None:
    world = simulation(Storage(FILE), MemoryFiles(files={PART: FILE, TAG: b'1\n"v1"'}))
    await download(world).run()
    clean(world, FILE)


@pytest.mark.parametrize("note", [b'1\n"v1"', b'"v1"', b"2\n"], ids=["other boot", "no boot", "no tag"])
@virtually
async def test_a_part_that_was_left_before_the_machine_was_started_is_not_trusted(note: bytes) -> None:
    """It was never synced: after a power cut its end may be zeros, and its length says nothing."""
    left = FILE[:1_000_000].ljust(2_000_000, b"\0")
    files = MemoryFiles(files={PART: left, TAG: note}, durable={PART: left, TAG: note})
    files.crash()
    storage = Storage(FILE)
    world = simulation(storage, files)
    await download(world).run()
    assert storage.asked == [None]
    clean(world, FILE)


def test_a_boot_has_one_name_and_a_system_that_names_none_makes_no_two_processes_trust_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = [sys.executable, "-c", "from viseme.engine.disk import RealDisk; print(RealDisk().boot())"]
    other = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if Path("/proc/sys/kernel/random/boot_id").exists():
        assert RealDisk().boot() == other
    for boots in (tmp_path / "none", tmp_path):
        monkeypatch.setattr("viseme.engine.disk._BOOT", str(boots))
        assert RealDisk().boot() == RealDisk().boot()
        assert RealDisk().boot() not in ("", other)


@virtually
async def test_a_part_whose_source_gives_no_tag_loses_the_tag_of_the_one_before() -> None:
    """Else a later process would take the new bytes for a part of the old version."""
    storage = Storage(FILE, etag=None, script=[cut(1_500_000), *[gone] * 9])
    world = simulation(storage, MemoryFiles(files={PART: b"x" * 2_000_000, TAG: b'1\n"v0"'}))
    with pytest.raises(Broken):
        await download(world, tries=3).run()
    assert TAG not in world.files.files


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400_000), st.sampled_from(["reset", "die", "refuse", "change"])), max_size=12),
    st.booleans(),
    st.sampled_from(['"a"', 'W/"a"', None]),
)
def test_whatever_happens_on_the_way_the_file_is_the_one_that_the_server_has(
    story: list[tuple[int, str]], ranges: bool, etag: str | None
) -> None:
    """Resets anywhere, processes that die, versions that change: never a mixture under the final name."""
    content = video(1_300_000)
    storage = Storage(content, etag=etag, ranges=ranges)
    files = MemoryFiles()

    async def main() -> None:
        version = 0
        for count, fate in story:
            if fate == "change":
                version += 1
                storage.content = content[:-4] + version.to_bytes(4)
                storage.etag = etag and etag.replace("a", f"a{version}")
                continue
            storage.script = [refuses(503) if fate == "refuse" else cut(count)] + ([gone] * 9 if fate == "die" else [])
            world = simulation(storage, files)
            try:
                await download(world, tries=2 if fate == "die" else 8).run()
            except Broken:
                assert FINAL not in files.files
                continue
            break
        storage.script = []
        await download(simulation(storage, files)).run()
        assert files.files == {FINAL: storage.content}

    virtual_run(main)


# -- what is no result ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
@virtually
async def test_a_dead_link_is_called_dead_at_once(status: int) -> None:
    storage = Storage(script=[refuses(status)])
    world = simulation(storage)
    with pytest.raises(DeadLink, match=str(status)):
        await download(world).run()
    assert len(storage.seen) == 1
    assert FINAL not in world.files.files


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "text/html"),
        (b"<html>" + b"x" * 3_000_000, "video/mp4"),
        (b'{"error": "expired"}', "application/json"),
        (b'{"error": "expired"}', "application/octet-stream"),
        (b"gone", "text/plain"),
        (b"no", "text/plain"),
        (b"<?xml version='1.0'?><Error/>", "application/xml"),
    ],
)
@pytest.mark.parametrize("piece", [1, 64 * 1024])
@virtually
async def test_a_page_instead_of_a_video_is_a_dead_link(content: bytes, kind: str, piece: int) -> None:
    world = simulation(Storage(content, type=kind, piece=piece))
    with pytest.raises(DeadLink):
        await download(world).run()
    assert FINAL not in world.files.files


@virtually
async def test_a_cover_may_be_anything() -> None:
    world = simulation(Storage(b"\xff\xd8 a picture", type="text/html"))
    assert (await download(world, video=False).run()).bytes == 12


@pytest.mark.parametrize(
    "content",
    [
        box(b"ftyp", b"isom") + box(b"mdat", b"x" * 5000),
        box(b"ftyp", b"isom") + box(b"moov", b"x" * 5000),
        SMALL[:-1],
        SMALL[:30],
        FILE[:-100],
    ],
)
@virtually
async def test_a_torn_video_is_a_dead_link_and_leaves_nothing_behind(content: bytes) -> None:
    world = simulation(Storage(content))
    with pytest.raises(DeadLink):
        await download(world).run()
    assert world.files.files == {}


@pytest.mark.parametrize("length", [{"content-length": "0"}, {}])
@virtually
async def test_an_empty_file_is_a_dead_link(length: dict[str, str]) -> None:
    world = simulation(Storage(script=[lambda _: Served(200, {"content-type": "video/mp4", **length})]))
    with pytest.raises(DeadLink, match="empty"):
        await download(world).run()
    assert world.files.files == {}


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZIP", "gzip, identity"])
@virtually
async def test_a_compressed_body_is_refused(coding: str) -> None:
    world = simulation(Storage(more={"content-encoding": coding}))
    with pytest.raises(Unfit, match="compressed"):
        await download(world).run()
    assert FINAL not in world.files.files


@virtually
async def test_a_body_that_is_said_to_be_plain_is_taken() -> None:
    await fetched(Storage(more={"content-encoding": "Identity"}))


@virtually
async def test_a_compressed_part_is_not_glued_to_a_plain_one() -> None:
    storage = Storage(FILE, script=[cut(1_500_000), says(content_encoding="gzip")])
    world = simulation(storage)
    with pytest.raises(Unfit):
        await download(world).run()
    assert FINAL not in world.files.files


@virtually
async def test_a_file_that_is_declared_too_large_is_refused_before_its_body() -> None:
    world = simulation(Storage(FILE))
    with pytest.raises(Unfit, match=r"max_bytes"):
        await download(world, max_bytes=len(FILE) - 1).run()
    assert world.files.files == {}
    await fetched(Storage(FILE), max_bytes=len(FILE))


@virtually
async def test_a_file_that_turns_out_too_large_is_broken_off() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield SMALL
        while True:
            taken += 100_000
            yield bytes(100_000)

    world = simulation(Storage(script=[lambda s: Served(200, {}, endless())]))
    with pytest.raises(Unfit, match=r"max_bytes"):
        await download(world, max_bytes=2_000_000).run()
    assert taken <= 2_100_000
    assert world.files.files == {}


@virtually
async def test_a_part_that_declares_a_larger_whole_is_refused() -> None:
    storage = Storage(FILE, etag='"v1"')
    files = MemoryFiles(files={PART: FILE[:100], TAG: b'1\n"v1"'})
    with pytest.raises(Unfit):
        await download(simulation(storage, files), max_bytes=1000).run()
    assert files.files == {}


@virtually
async def test_a_link_to_where_viseme_does_not_go_is_unfit_at_once() -> None:
    def private(_: Served) -> Served:
        raise Broken("10.0.0.1 is a private address", unsafe=True)

    storage = Storage(script=[private])
    with pytest.raises(Unfit, match="private"):
        await download(simulation(storage)).run()
    assert len(storage.seen) == 1


# -- a disk that refuses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["append", "sync", "rename"])
@pytest.mark.parametrize("content", [SMALL, FILE])
@virtually
async def test_a_full_disk_is_an_os_error_and_nothing_stands_under_the_final_name(verb: str, content: bytes) -> None:
    def full(done: str, path: str) -> None:
        if done == verb:
            raise OSError(errno.ENOSPC, "No space left on device", path)

    world = simulation(Storage(content), MemoryFiles(trouble=full))
    with pytest.raises(OSError, match="No space") as caught:
        await download(world).run()
    assert caught.value.errno == errno.ENOSPC
    assert FINAL not in world.files.files
    assert world.network.open == 0
    # and once there is room it goes on
    world.files.trouble = lambda done, path: None
    await download(world).run()
    clean(world, content)


@virtually
async def test_a_disk_that_fills_up_half_way_keeps_what_can_be_taken_up() -> None:
    writes = 0

    def full(done: str, path: str) -> None:
        nonlocal writes
        writes += done == "append" and path == PART
        if writes == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    storage = Storage(FILE)
    world = simulation(storage, MemoryFiles(trouble=full))
    with pytest.raises(OSError, match="No space"):
        await download(world).run()
    world.files.trouble = lambda done, path: None
    await download(world).run()
    assert (storage.asked[1] or "").startswith("bytes=2")
    clean(world, FILE)


@virtually
async def test_a_disk_that_refuses_the_last_of_what_a_broken_connection_brought_is_heard() -> None:
    def full(done: str, path: str) -> None:
        if path == PART:
            raise OSError(errno.ENOSPC, "No space left on device")

    world = simulation(Storage(FILE, script=[cut(1000), gone]), MemoryFiles(trouble=full))
    with pytest.raises(OSError, match="No space"):
        await download(world, tries=1).run()


def test_a_failure_is_described_in_one_line() -> None:
    assert describe(OSError()) == "OSError"
    assert "\n" not in describe(ValueError("two\nlines"))


class Dripping(Served):
    """Brings a byte every so many seconds, for ever."""

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in itertools.count():
            await anyio.sleep(20)
            yield FILE[at : at + 1]


@virtually
async def test_a_download_that_drips_without_end_is_given_up() -> None:
    """Each byte comes before the stall; a host that does so on purpose would hold a place for ever."""
    world = simulation(lambda url, headers: Dripping(200, {"content-length": str(len(FILE)), "etag": '"v1"'}))
    with pytest.raises(Broken, match="times in a row: the download crawls: 3 bytes in more than 60 s"):
        await download(world, tries=3).run()
    assert world.world.monotonic() < 1000 + 600


@virtually
async def test_a_slow_download_that_comes_on_is_waited_for() -> None:
    class Slow(Served):
        async def chunks(self) -> AsyncIterator[bytes]:
            for at in range(0, len(FILE), 10_000):
                await anyio.sleep(20)
                yield FILE[at : at + 10_000]

    world = simulation(lambda url, headers: Slow(200, {"content-length": str(len(FILE)), "etag": '"v1"'}))
    await download(world, tries=1).run()
    clean(world, FILE)


@pytest.mark.parametrize("tag", ['"\udcff"', '"\x1b[31m"', '"a\r\nX: 1"', '"' + "x" * 1000 + '"', '"é"'])
@virtually
async def test_a_tag_that_no_header_may_hold_is_not_sent_back(tag: str) -> None:
    storage = Storage(FILE, etag=tag, script=[cut(1_500_000)])
    world = simulation(storage)
    await download(world).run()
    assert storage.asked == [None, None]
    clean(world, FILE)


@virtually
async def test_what_lies_where_nothing_can_be_is_overwritten_and_never_taken_up() -> None:
    """A new result after one that was called off, say, whose part and its note were left by a power cut."""
    for film in (bytes(1000), bytes(3 << 20)):
        files = MemoryFiles({FINAL + ".part": b"old" * 4_000_000, FINAL + ".part.tag": b'1\n"old"'})
        network = MemoryNetwork(serve=lambda url, headers, film=film: Served(200, {"etag": '"new"'}, [film]))
        world, made = simulated_world(files=files, network=network), list[str]()

        def make(made: list[str] = made) -> None:
            made.append("folder")

        landed = await Download(world.world, network, Downloads(), URL, FINAL, video=False, make=make, fresh=True).run()
        assert landed.bytes == len(film)
        assert files.files == {FINAL: film}
        assert made == ["folder"]
        assert all("Range" not in headers for _, headers in network.fetched)


@define(eq=False)
class Users:
    """Who wants one and the same file: who has it, and who has had it."""

    places: Places = field(factory=lambda: Places(simulated_world().world, "out"))
    inside: list[str] = field(factory=list[str])
    had: list[str] = field(factory=list[str])

    async def use(self, name: str) -> None:
        async with self.places.room("talk.mp4"):
            self.inside.append(name)
            await anyio.sleep(1)
            self.inside.remove(name)
            self.had.append(name)


@virtually
async def test_who_waits_for_a_file_has_it_before_anyone_who_comes_later() -> None:
    users = Users()
    async with anyio.create_task_group() as group:
        async with users.places.room("Talk.mp4"):
            group.start_soon(users.use, "waits")
            await settled()
        async with users.places.room("TALK.mp4"):  # at once, before the other has even begun
            await settled()
            assert users.inside == []
    assert users.had == ["waits"]
    assert not users.places.held


@virtually
async def test_a_file_goes_on_to_the_next_where_who_waited_for_it_gives_up() -> None:
    users = Users()
    async with users.places.room("talk.mp4"):
        early, late, third = (asyncio.ensure_future(users.use(name)) for name in ("early", "late", "third"))
        await settled()
        early.cancel()
        await settled()
    late.cancel()  # the file is its own by now, and it has not begun
    await asyncio.wait([early, late, third])
    assert users.had == ["third"]
    assert not users.places.held


@virtually
async def test_folders_are_made_anew_once_the_disk_refused_something() -> None:
    made: list[str] = []

    class Folders(MemoryFiles):
        def make_folder(self, path: str) -> str:
            made.append(path)
            return path

    places = Places(simulated_world(files=Folders()).world, "out")
    for trouble in (None, OSError(errno.EIO, "Input/output error"), None):
        with suppress(OSError):
            async with places.room("films/talk.mp4") as place:
                place.make()
                if trouble is not None:
                    raise trouble
    assert made == ["out", "out/films"] * 2
