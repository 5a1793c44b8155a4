"""Bodies: what is sent is what was described, in constant memory, or nothing arrives whole."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
import json
import os
import resource
import tracemalloc
from base64 import b64decode
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.virtual import MemoryFiles, simulated_world, virtually

from viseme.engine.bodies import PIECE, Rendered, render
from viseme.engine.disk import RealDisk
from viseme.engine.transport import AioTransport, Line, Wire
from viseme.engine.world import World, real_world
from viseme.failures import Kind
from viseme.providers.base import Base64Of, FilePart, Form, Multipart, Refused, Reply, Request, Verdict

CLIP = bytes(range(256)) * 8000  # 2 MB: some whole pieces and a rest


def part(path: str = "/in/talk.mp4", data: bytes = CLIP, **over: Any) -> FilePart:
    known = {"path": path, "size": len(data), "mtime": 0, "name": "talk.mp4", "content_type": "video/mp4"}
    return FilePart(**{**known, **over})


def request(**over: Any) -> Request:
    return Request(**{"method": "POST", "url": "https://vendor.example/x", **over})


def world_with(files: dict[str, bytes] | None = None) -> tuple[World, MemoryFiles]:
    disk = MemoryFiles(files=dict({"/in/talk.mp4": CLIP} if files is None else files))
    return simulated_world(files=disk).world, disk


async def whole(rendered: Rendered) -> bytes:
    assert rendered.body is not None
    if isinstance(rendered.body, bytes):
        return rendered.body
    data = b"".join([piece async for piece in rendered.body.pieces()])
    assert len(data) == rendered.body.length
    return data


def refused(caught: pytest.ExceptionInfo[Refused], *words: str) -> Verdict:
    verdict = caught.value.verdict
    assert verdict.kind is Kind.INVALID
    assert verdict.blame == "job"
    for word in words:
        assert word in verdict.message
    return verdict


# -- the forms of a body -------------------------------------------------------------------------------------------


@virtually
async def test_json_goes_out_as_json_and_nothing_as_nothing() -> None:
    world, _ = world_with()
    rendered = await render(world, request(json={"a": [1, "é"]}))
    assert rendered.headers == {"Content-Type": "application/json"}
    assert json.loads(await whole(rendered)) == {"a": [1, "é"]}
    assert await render(world, request()) == Rendered(headers={}, body=None)


@virtually
async def test_a_form_is_percent_encoded() -> None:
    world, _ = world_with()
    rendered = await render(world, request(body=Form({"grant_type": "client credentials", "a&b": "=é"})))
    assert rendered.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert await whole(rendered) == b"grant_type=client+credentials&a%26b=%3D%C3%A9"


@virtually
async def test_a_file_goes_out_piece_by_piece_with_its_type_and_can_be_sent_again() -> None:
    world, _ = world_with()
    rendered = await render(world, request(body=part()))
    assert rendered.headers == {"Content-Type": "video/mp4"}
    assert rendered.body is not None
    assert not isinstance(rendered.body, bytes)
    assert max([len(piece) async for piece in rendered.body.pieces()]) == PIECE
    assert await whole(rendered) == CLIP
    assert await whole(rendered) == CLIP


@virtually
async def test_a_data_uri_may_stand_anywhere_in_json() -> None:
    world, _ = world_with()
    rendered = await render(world, request(json={"m": 1, "in": [{"url": Base64Of(part())}, "x"]}))
    found = json.loads(await whole(rendered))
    kind, _, data = found["in"][0]["url"].partition(";base64,")
    assert kind == "data:video/mp4"
    assert b64decode(data) == CLIP
    assert (found["m"], found["in"][1]) == (1, "x")


def read_multipart(rendered: Rendered, data: bytes) -> list[tuple[str | None, str | None, str, bytes]]:
    head = f"Content-Type: {rendered.headers['Content-Type']}\r\n\r\n".encode()
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + data)
    return [
        (
            item.get_param("name", header="content-disposition"),  # type: ignore[misc]
            item.get_filename(),
            item.get_content_type(),
            item.get_payload(decode=True),
        )
        for item in parsed.iter_parts()  # type: ignore[attr-defined]
    ]


@virtually
async def test_a_multipart_body_can_be_read_by_others() -> None:
    world, _ = world_with()
    body = Multipart((("model", "lipsync-2"), ("input", '[{"a":"é"}]'), ("video", part())))
    rendered = await render(world, request(body=body))
    model, told, video = read_multipart(rendered, await whole(rendered))
    assert model == ("model", None, "text/plain", b"lipsync-2")
    assert told[3].decode() == '[{"a":"é"}]'
    assert video == ("video", "talk.mp4", "video/mp4", CLIP)


@virtually
async def test_no_name_can_break_out_of_a_multipart_frame() -> None:
    world, _ = world_with()
    evil = 'a"; filename="b\r\nX-Evil: 1\r\n\r\nbody\x00.mp4'
    rendered = await render(world, request(body=Multipart(((evil, "text"), ("video", part(name=evil))))))
    data = await whole(rendered)
    assert b"\r\nX-Evil" not in data
    assert b"\x00.mp4" not in data
    field, video = read_multipart(rendered, data)
    assert field[3] == b"text"
    assert video[3] == CLIP


@virtually
async def test_no_two_multipart_bodies_have_one_boundary() -> None:
    world, _ = world_with()
    one, other = [await render(world, request(body=Multipart((("a", "b"),)))) for _ in range(2)]
    assert one.headers != other.headers


# -- files that are not what they were -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [{"body": part()}, {"body": Multipart((("video", part()),))}, {"json": Base64Of(part())}]
)
@virtually
async def test_a_file_that_changed_before_is_refused_before_anything_is_sent(body: dict[str, Any]) -> None:
    for changed in ({}, {"/in/talk.mp4": CLIP + b"more"}):
        world, _ = world_with(changed)
        with pytest.raises(Refused) as caught:
            await render(world, request(**body))
        refused(caught, "video '/in/talk.mp4'", "changed" if changed else "vanished", "run again")
    world, disk = world_with()
    disk.changed["/in/talk.mp4"] = 1
    with pytest.raises(Refused) as caught:
        await render(world, request(**body))
    refused(caught, "changed while it was uploaded")


@pytest.mark.parametrize("wrap", [lambda file: file, lambda file: Multipart((("v", file), ("w", "x")))])
@pytest.mark.parametrize("what", ["grows", "shrinks", "touched", "vanishes"])
@virtually
async def test_a_file_that_changes_meanwhile_never_arrives_whole(what: str, wrap: Any) -> None:
    world, disk = world_with()
    rendered = await render(world, request(body=wrap(part())))

    def change(path: str, offset: int) -> None:
        if offset < PIECE:
            return
        disk.watch = lambda path, offset: None
        if what == "vanishes":
            del disk.files[path]
        elif what == "touched":
            disk.changed[path] = 7
        else:
            disk.files[path] = CLIP + b"x" if what == "grows" else CLIP[: PIECE + 5]

    disk.watch = change
    arrived: list[bytes] = []

    async def take() -> None:
        async for piece in rendered.body.pieces():  # type: ignore[union-attr]
            arrived.append(piece)  # noqa: PERF401 - it is to keep what came before the refusal

    with pytest.raises(Refused) as caught:
        await take()
    refused(caught, "vanished" if what == "vanishes" else "changed while it was uploaded")
    assert PIECE <= sum(map(len, arrived)) < len(CLIP)


@virtually
async def test_what_left_is_told_as_it_leaves() -> None:
    world, _ = world_with()
    told: list[tuple[int, int]] = []
    rendered = await render(world, request(body=part()), lambda done, length: told.append((done, length)))
    async for _ in rendered.body.pieces():  # type: ignore[union-attr]
        assert not told or told[-1][0] < len(CLIP)
    assert told[-1] == (len(CLIP), len(CLIP))
    assert [done for done, _ in told] == sorted({done for done, _ in told})


@virtually
async def test_an_upload_holds_a_piece_of_the_file_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "big.mp4"
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    world = attrs.evolve(simulated_world().world, disk=RealDisk())
    stamp = RealDisk().stamp(str(path))
    big = part(stamp.path, size=stamp.size, mtime=stamp.mtime)
    rendered = await render(world, request(body=big))
    tracemalloc.start()
    try:
        count = 0
        async for piece in rendered.body.pieces():  # type: ignore[union-attr]
            count += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == stamp.size
    assert peak < 4 * PIECE


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_large_upload_over_real_sockets_costs_hardly_any_memory(tmp_path: Path, loop: str) -> None:
    path = tmp_path / "big.mp4"
    path.touch()
    os.truncate(path, 200 * 1024 * 1024)
    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(growth_of_an_upload(str(path))) < 24 * 1024 * 1024


async def growth_of_an_upload(path: str) -> int:
    """By how many bytes the process's peak of memory grows while a file is sent; the far side is a part of it."""
    arrived = 0

    async def discard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while arrived < length:
            arrived += len(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    world, server = real_world(), await asyncio.start_server(discard, "127.0.0.1", 0)
    stamp = world.disk.stamp(path)
    rendered = await render(world, request(body=part(stamp.path, size=stamp.size, mtime=stamp.mtime)))
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, AioTransport() as net:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wire = Wire(method="PUT", url=url, headers=rendered.headers, body=rendered.body)
        outcome = await net.send(Line("a", private=True), wire)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert isinstance(outcome, Reply)
    assert arrived == stamp.size
    return (after - before) * 1024


# -- what is no file -----------------------------------------------------------------------------------------------


def test_folders_pipes_and_unreadable_files_have_no_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = RealDisk()
    with pytest.raises(OSError, match="it is a folder"):
        disk.stamp(str(tmp_path))
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(OSError, match="it is a pipe or a device"):
        disk.stamp(str(tmp_path / "pipe.mp4"))
    (tmp_path / "talk.mp4").write_bytes(b"x")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "talk.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nothing")
    assert disk.stamp(str(tmp_path / "link.mp4")) == disk.stamp(str(tmp_path / "talk.mp4"))
    with pytest.raises(FileNotFoundError):
        disk.stamp(str(tmp_path / "gone.mp4"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError):
        disk.stamp(str(tmp_path / "talk.mp4"))
