"""A plain HTTP client for tests of the sandbox: what a vendor's customer would write by hand."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
import av

from viseme.sandbox import Clock, ManualClock, Sandbox

KEY = {"x-api-key": "sandbox"}
BEARER = {"Authorization": "Bearer sandbox"}


@attrs.define
class Customer:
    """A session against one sandbox. Where the sandbox's clock is moved by hand, waiting moves it on."""

    sandbox: Sandbox
    address: str
    http: aiohttp.ClientSession

    @property
    def clock(self) -> ManualClock:
        clock = self.sandbox.clock
        assert isinstance(clock, ManualClock)
        return clock

    def media(self, name: str) -> str:
        return f"{self.address}/media/{name}"

    async def send(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.http.request(method, self.address + path, **options) as reply:
            read = reply.json if reply.content_type == "application/json" else reply.text
            return reply.status, await read()

    async def get(self, url: str, **headers: str) -> tuple[int, bytes, Any]:
        async with self.http.get(url, headers=headers) as reply:
            return reply.status, await reply.read(), reply.headers

    def generate(self, video: str = "short.mp4", audio: str = "short.wav", **more: Any) -> dict[str, Any]:
        inputs = [{"type": "video", "url": self.media(video)}, {"type": "audio", "url": self.media(audio)}]
        return {"model": "lipsync-2", "input": inputs, **more}

    async def create_sync(self, *args: str, headers: dict[str, str] | None = None, **more: Any) -> tuple[int, Any]:
        body = self.generate(*args, **more)
        return await self.send("POST", "/sync/v2/generate", json=body, headers=KEY | (headers or {}))

    async def passing(self, seconds: float = 2.0) -> None:
        """Lets time go by: the clock's that is moved by hand, or a moment of everybody's."""
        await self.sandbox.settled()
        clock: Clock = self.sandbox.clock
        if isinstance(clock, ManualClock):
            clock.advance(seconds)
        else:
            await asyncio.sleep(0.005)

    async def ended_sync(self, id: str) -> dict[str, Any]:
        while True:
            status, told = await self.send("GET", f"/sync/v2/generate/{id}", headers=KEY)
            assert status == 200
            if told["status"] not in ("PENDING", "PROCESSING"):
                return told
            await self.passing()

    async def create_jogg(self, video: str = "short.mp4", audio: str = "short.wav", **more: Any) -> dict[str, Any]:
        body = {"video_url": self.media(video), "audio_url": self.media(audio), **more}
        return (await self.send("POST", "/jogg/v2/create_lip_sync_video", json=body, headers=KEY))[1]

    async def ended_jogg(self, id: str) -> dict[str, Any]:
        while True:
            _, told = await self.send("GET", f"/jogg/v2/lip_sync_video/{id}", headers=KEY)
            if told["data"]["status"] in ("success", "failed"):
                return told["data"]
            await self.passing()

    async def create_aiml(
        self, video: str = "short.mp4", audio: str = "short.wav", headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any]:
        body = {"model": "pixverse/lip-sync", "video_url": self.media(video), "audio_url": self.media(audio), **more}
        return await self.send("POST", "/aimlapi/v2/video/generations", json=body, headers=BEARER | (headers or {}))

    async def ended_aiml(self, id: str) -> dict[str, Any]:
        while True:
            _, told = await self.send(
                "GET", "/aimlapi/v2/video/generations", params={"generation_id": id}, headers=BEARER
            )
            if told["status"] in ("completed", "succeeded", "error"):
                return told
            await self.passing()


@asynccontextmanager
async def customer(**options: Any) -> AsyncIterator[Customer]:
    """Serves a sandbox, whose clock is moved by hand unless a speed is given, and opens a session against it."""
    if "speed" not in options:
        options = {"clock": ManualClock(), **options}
    sandbox = Sandbox(**options)
    async with sandbox.serve() as address, aiohttp.ClientSession() as http:
        yield Customer(sandbox, address, http)


@attrs.frozen
class Film:
    """A result, opened with PyAV."""

    seconds: float
    video_seconds: float
    frames: int
    size: tuple[int, int]
    samples: bytes

    @classmethod
    def open(cls, data: bytes) -> "Film":
        with av.open(io.BytesIO(data)) as film:
            video, audio = film.streams.video[0], film.streams.audio[0]
            assert video.codec_context.name == "h264"
            assert audio.codec_context.name == "aac"
            duration = float(video.duration * video.time_base)
            resampler = av.AudioResampler("s16", "mono", 16_000)
            frames, samples = 0, b""
            size = (video.width, video.height)
            for frame in film.decode():
                if isinstance(frame, av.VideoFrame):
                    frames += 1
                else:
                    for piece in resampler.resample(frame):
                        samples += bytes(piece.planes[0])[: piece.samples * 2]
            return cls(film.duration / 1e6, duration, frames, size, samples)

    def pitch(self, start: float = 0.0, end: float = 60.0) -> float:
        """The voice's pitch in that part, in Hz, by autocorrelation."""
        import numpy as np

        sound = np.frombuffer(self.samples, "<i2")[int(start * 16_000) : int(end * 16_000)].astype(float)
        spectrum = np.abs(np.fft.rfft(sound, 1 << 18)) ** 2
        correlation = np.fft.irfft(spectrum)[:400]
        low, high = 16_000 // 320, 16_000 // 85
        return 16_000 / (low + int(correlation[low:high].argmax()))

    def loudness(self, start: float, end: float) -> float:
        """The mean amplitude in that part."""
        import numpy as np

        sound = np.frombuffer(self.samples, "<i2")[int(start * 16_000) : int(end * 16_000)].astype(float)
        return float(np.abs(sound).mean()) if len(sound) else 0.0
