"""Small real media of many kinds, made with PyAV, and a host that serves them in its own ways."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from random import Random

import av
from aiohttp import web
from attrs import define, field

from viseme.sandbox import samples

__all__ = ["Host", "hosting", "make_clip", "make_film", "make_sound", "wide_film"]


def make_film(
    path: Path, seconds: float = 2.0, *, sound: bool = True, faststart: bool = False, size: int = 160
) -> Path:
    """A film; its container is that of its name (mp4, mov, mkv, webm, avi, ts)."""
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as clip:
        webm = path.suffix == ".webm"
        video = clip.add_stream("libvpx" if webm else "libx264", rate=25)
        video.width, video.height, video.pix_fmt = size, size // 2, "yuv420p"
        voice = clip.add_stream("libopus" if webm else "aac", rate=48_000, layout="mono") if sound else None
        for number in range(round(seconds * 25)):
            frame = samples.draw_face(size, size // 2, number % 10 / 10)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            clip.mux(video.encode(frame))
        clip.mux(video.encode(None))
        if voice is not None:
            _speak(clip, voice, seconds)
    return path


def make_sound(path: Path, seconds: float = 2.0) -> Path:
    """A voice; its container is that of its name (wav, mp3, ogg, flac, m4a)."""
    codecs = {".mp3": "libmp3lame", ".ogg": "libopus", ".flac": "flac", ".m4a": "aac", ".wav": "pcm_s16le"}
    with av.open(str(path), "w") as clip:
        _speak(clip, clip.add_stream(codecs[path.suffix], rate=48_000, layout="mono"), seconds)
    return path


def wide_film(path: Path, frames: int = 40) -> Path:
    """A film of several megabytes whose index comes last."""
    chance = Random(1)
    with av.open(str(path), "w") as clip:
        video = clip.add_stream("mjpeg", rate=10)
        video.width, video.height, video.pix_fmt = 640, 360, "yuvj420p"
        for number in range(frames):
            frame = av.VideoFrame(640, 360, "yuvj420p")
            for plane in frame.planes:
                plane.update(chance.randbytes(plane.buffer_size))
            frame.pts, frame.time_base = number, Fraction(1, 10)
            clip.mux(video.encode(frame))
        clip.mux(video.encode(None))
    return path


def _speak(clip: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=48_000, frame_size=stream.frame_size)
    voice = samples.speech(seconds, 1, 48_000)
    for at in range(0, len(voice), 4800):
        piece = voice[at : at + 4800]
        frame = av.AudioFrame("s16", "mono", len(piece))
        frame.planes[0].update(piece.tobytes())
        frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), at
        for part in resampler.resample(frame):
            clip.mux(stream.encode(part))
    for part in resampler.resample(None):
        clip.mux(stream.encode(part))
    clip.mux(stream.encode(None))


def make_clip(path: Path) -> Path:
    """A film or a voice, by the name's ending; a picture for ``.jpg``."""
    if path.suffix == ".jpg":
        samples.make_image(path)
        return path
    if path.suffix in (".wav", ".mp3", ".ogg", ".flac", ".m4a"):
        return make_sound(path)
    return make_film(path)


Manner = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@define
class Host:
    """A web server with files.

    Attributes:
        files: by path.
        manners: what is done for a path instead of serving it as an object store does.
        asked: method, path and Range of each request.
    """

    base: str = ""
    files: dict[str, bytes] = field(factory=dict[str, bytes])
    manners: dict[str, Manner] = field(factory=dict[str, Manner])
    asked: list[tuple[str, str, str]] = field(factory=list[tuple[str, str, str]])
    headers: list[dict[str, str]] = field(factory=list[dict[str, str]])

    def put(self, name: str, data: bytes | Path, manner: Manner | None = None) -> str:
        """Serve bytes; returns their address."""
        self.files[name] = data.read_bytes() if isinstance(data, Path) else data
        if manner is not None:
            self.manners[name] = manner
        return f"{self.base}/{name}"

    def times(self, name: str, method: str = "GET") -> int:
        return sum((method, name) == (verb, path) for verb, path, _ in self.asked)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.asked.append((request.method, name, request.headers.get("Range", "")))
        self.headers.append({key.lower(): value for key, value in request.headers.items()})
        if name not in self.files:
            return web.Response(status=404, text="<html>no such file</html>", content_type="text/html")
        return await self.manners.get(name, ranged)(request, self.files[name])


async def ranged(request: web.Request, data: bytes) -> web.StreamResponse:
    """As an object store does."""
    span = request.http_range
    if request.method == "HEAD" or span.start is None:
        return web.Response(body=data, content_type="application/octet-stream")
    if span.start >= len(data):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    stop = min(span.stop or len(data), len(data))
    return web.Response(
        status=206,
        body=data[span.start : stop],
        headers={"Content-Range": f"bytes {span.start}-{stop - 1}/{len(data)}"},
        content_type="application/octet-stream",
    )


async def whole(request: web.Request, data: bytes) -> web.StreamResponse:
    """As one that knows no ranges."""
    return web.Response(body=data, content_type="application/octet-stream")


async def endless(request: web.Request, data: bytes) -> web.StreamResponse:
    """As one that does not say how long it is."""
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(data)
    await response.write_eof()
    return response


async def packed(request: web.Request, data: bytes) -> web.StreamResponse:
    """As one that compresses everything."""
    return web.Response(body=gzip.compress(data), headers={"Content-Encoding": "gzip"}, content_type="video/mp4")


def answering(status: int, **headers: str) -> Manner:
    """One that answers everything alike."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})

    return answer


def refusing(method: str, status: int) -> Manner:
    """One that refuses a method and serves the other."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=status) if request.method == method else await ranged(request, data)

    return answer


def typed(content_type: str) -> Manner:
    """One that sends the whole file as something."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(body=data, content_type=content_type)

    return answer


@asynccontextmanager
async def hosting() -> AsyncIterator[Host]:
    """A host on a free port."""
    host = Host()
    app = web.Application()
    app.router.add_route("*", "/{name:.*}", host.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    host.base = f"http://127.0.0.1:{port}"
    try:
        yield host
    finally:
        await runner.cleanup()
