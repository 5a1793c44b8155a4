"""Where results are made: inputs fetched, media rendered off the event loop, each rendering done once."""

import asyncio
import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import attrs

from . import media, samples
from .blob import Blob, Edition, free_box
from .media import Kind, MediaFault, Reel, Track
from .timeline import Fit, plan

T = TypeVar("T")
_REELS_KEPT = 32


@attrs.frozen
class Link:
    """An input by URL."""

    url: str


@attrs.frozen
class Held:
    """An input that the vendor already has: a data URI."""

    blob: Blob


@attrs.frozen
class Script:
    """Speech that the vendor makes itself. The length is an assumption: 15 characters a second, at least 1 s."""

    text: str
    voice: str = ""

    @property
    def seconds(self) -> float:
        """How long the speech will be."""
        return max(1.0, len(self.text) / 15)


@attrs.frozen
class Dub:
    """Speech in a language that the vendor dubs into; as long as the video (an assumption)."""

    language: str


@attrs.frozen
class Segment:
    """The seconds `start` to `end` of the video get this voice, from its second `skip` on."""

    start: float
    end: float
    voice: Link | Held | Script
    skip: float = 0.0


@attrs.frozen
class Segments:
    """Several voices over one video; outside of them the video keeps its own sound (an assumption)."""

    parts: tuple[Segment, ...]


Source = Link | Held | Script | Dub | Segments
Sound = Callable[[Reel], Track]
"""How to come by a result's sound, once the video is known; it blocks."""


@attrs.frozen
class Work:
    """What to render: the picture (a video or an image), the voice, and how they are fitted together.

    Attributes:
        max_seconds: Longer inputs and outputs are a fault.
        input_seconds: Longer inputs are a fault, whatever the output's length.
        cut_seconds: A longer output is cut there.
    """

    picture: Link | Held
    voice: Source
    fit: Fit
    image: bool = False
    max_seconds: float | None = None
    cut_seconds: float | None = None
    input_seconds: float | None = None
    origin: str = ""


@attrs.frozen
class Rendered:
    """A finished film."""

    edition: Edition
    seconds: float
    fps: float
    cover: bytes


Local = Callable[[str, str], Awaitable[Path | None]]


class Studio:
    """Fetches and renders, with one temporary folder; two threads make media, four handle files."""

    def __init__(self, local: Local, fixed_size: int | None, fixed_seconds: float) -> None:
        self._local = local
        self._fixed_size = fixed_size
        self._fixed_seconds = fixed_seconds
        self._makers = ThreadPoolExecutor(2, thread_name_prefix="sandbox-media")
        self._clerks = ThreadPoolExecutor(4, thread_name_prefix="sandbox-files")
        self._once: dict[Hashable, asyncio.Future[Any]] = {}
        self._fetching: dict[str, asyncio.Future[tuple[Path, str]]] = {}
        self._doors = asyncio.Semaphore(16)
        self._recent: dict[Hashable, None] = {}
        self._session: aiohttp.ClientSession | None = None
        self.folder = Path()
        self.fixed: Rendered | None = None

    async def open(self) -> None:
        """Makes the folder and, if results are fixed, the one film."""
        self.folder = Path(await self.blocking(tempfile.mkdtemp, prefix="viseme-sandbox-"))
        self._session = aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=60))
        if self._fixed_size is not None:
            self.fixed = await self.making(self._make_fixed, self._fixed_size)

    async def close(self) -> None:
        """Gives everything back."""
        pending = [future for future in (*self._once.values(), *self._fetching.values()) if not future.done()]
        for future in pending:
            future.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        await self.blocking(shutil.rmtree, self.folder, ignore_errors=True)
        self._makers.shutdown(wait=False)
        self._clerks.shutdown(wait=False)

    async def blocking(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Runs a function that waits for files in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._clerks, partial(work, *args, **kwargs))

    def afterwards(self, work: Callable[..., object], *args: Any) -> None:
        """Has a function run in a thread that nobody waits for."""
        with contextlib.suppress(RuntimeError):  # the studio is closed, and its folder gone
            self._clerks.submit(work, *args)

    async def making(self, work: Callable[..., T], *args: Any) -> T:
        """Runs a function that makes media in a thread; two at once, so that requests keep their share."""
        return await asyncio.get_running_loop().run_in_executor(self._makers, partial(work, *args))

    async def once(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """Makes a thing the first time it is asked for; whoever asks meanwhile waits for the same one."""
        if key not in self._once:
            self._once[key] = asyncio.ensure_future(make())
        return await asyncio.shield(self._once[key])

    async def render(self, work: Work) -> Rendered:
        """Renders a film.

        Raises:
            MediaFault: An input cannot be fetched or is not media.
        """
        if self.fixed is not None:
            return self.fixed
        kind: Kind = "image" if work.image else "video"
        picture, picture_digest = await self.obtain(work.picture, kind, work.origin)
        voice, voice_digest = await self._sound(work.voice, work.origin, picture)
        reel = await self._reel(picture, picture_digest, kind)
        limits = (work.max_seconds, work.cut_seconds, work.input_seconds)
        key = ("film", picture_digest, kind, voice_digest, work.fit, *limits)
        return await self.once(key, lambda: self.making(self._film, reel, voice, work))

    async def _reel(self, path: Path, digest: str, kind: Kind) -> Reel:
        key = ("reel", digest, kind)
        self._recent.pop(key, None)
        self._recent[key] = None
        if len(self._recent) > _REELS_KEPT:
            oldest = next(iter(self._recent))
            del self._recent[oldest]
            self._once.pop(oldest, None)
        into = self.folder / f"reel-{digest[:24]}-{kind}.mp4"
        return await self.once(key, lambda: self.making(media.read_reel, path, into, kind))

    async def _sound(self, voice: Source, origin: str, picture: Path) -> tuple[Sound, str]:
        """A source's sound, and a name by which equal sounds are recognised."""
        if isinstance(voice, Script):
            return lambda reel: samples.spoken(voice.seconds, sum(voice.voice.encode())), repr(voice)
        if isinstance(voice, Dub):
            return lambda reel: samples.spoken(reel.seconds, sum(voice.language.encode())), repr(voice)
        if isinstance(voice, Segments):
            made = [await self._sound(part.voice, origin, picture) for part in voice.parts]
            spans = [(part.start, part.end, part.skip) for part in voice.parts]
            sounds = [sound for sound, _ in made]
            return partial(_overlaid, picture, voice.parts, sounds), repr((spans, [name for _, name in made]))
        path, digest = await self.obtain(voice, "audio", origin)
        return lambda reel: media.read_track(path), digest

    def _film(self, reel: Reel, voice: Sound, work: Work) -> Rendered:
        track = voice(reel)
        _check_inputs(work, reel, track)
        timeline = plan(work.fit, len(reel.frames), float(reel.fps), track.seconds)
        if work.max_seconds is not None and max(timeline.seconds, track.seconds) > work.max_seconds:
            raise MediaFault("video", "too_long", f"{timeline.seconds:.1f} s")
        if work.cut_seconds is not None:
            timeline = timeline.cut(work.cut_seconds)
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".mp4", delete=False) as target:
            path = Path(target.name)
        media.write_result(reel, timeline, track, path)
        return Rendered(Edition.read(path), timeline.seconds, float(reel.fps), reel.cover)

    async def obtain(self, source: Link | Held, kind: Kind, origin: str) -> tuple[Path, str]:
        """An input as a file, with its digest; `origin` is the sandbox's own address, whose files need no request.

        Raises:
            MediaFault: It cannot be fetched.
        """
        if isinstance(source, Held):
            path = self.folder / f"held-{source.blob.sha256[:24]}"
            return await self.once(("held", path), lambda: self._keep(path, source.blob)), source.blob.sha256
        local = await self._local(source.url, origin)
        if local is not None:
            return local, await self.once(("digest", local), lambda: self.blocking(_digest, local))
        if source.url not in self._fetching:
            fetch = asyncio.ensure_future(self._fetch(source.url, kind))
            self._fetching[source.url] = fetch
            fetch.add_done_callback(lambda _: self._fetching.pop(source.url, None))
        return await asyncio.shield(self._fetching[source.url])

    async def _keep(self, path: Path, blob: Blob) -> Path:
        await self.blocking(path.write_bytes, bytes(blob.body))
        return path

    async def _fetch(self, url: str, kind: Kind) -> tuple[Path, str]:
        assert self._session is not None
        try:
            async with self._doors, self._session.get(url) as reply:
                if reply.status != 200:
                    raise MediaFault(kind, "inaccessible", f"HTTP {reply.status}")
                if reply.content_type in ("text/html", "application/xhtml+xml"):
                    raise MediaFault(kind, "inaccessible", "an HTML page")
                data = await reply.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise MediaFault(kind, "inaccessible", type(error).__name__) from error
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / f"fetched-{digest[:24]}"
        await self.once(("fetched", digest), lambda: self.blocking(path.write_bytes, data))
        return path, digest

    def _make_fixed(self, size: int) -> Rendered:
        clip = self.folder / "fixed.mp4"
        samples.make_video(clip, self._fixed_seconds)
        body = clip.read_bytes()
        body += free_box(b"\0" * max(0, size - len(body) - 8))
        cover = media.jpeg(samples.draw_face(320, 180, 0.2).reformat(format="yuvj420p"))
        return Rendered(Edition.of(memoryview(body)), self._fixed_seconds, 25.0, cover)


def _check_inputs(work: Work, reel: Reel, track: Track) -> None:
    most = work.input_seconds
    if most is None:
        return
    if not work.image and reel.seconds > most:
        raise MediaFault("video", "input_too_long", f"{reel.seconds:.1f} s")
    if not isinstance(work.voice, Segments) and track.seconds > most:
        raise MediaFault("audio", "input_too_long", f"{track.seconds:.1f} s")


def _overlaid(picture: Path, parts: tuple[Segment, ...], sounds: list[Sound], reel: Reel) -> Track:
    try:
        own = media.read_track(picture)
    except MediaFault:
        own = Track(b"")
    track = own.cut(reel.seconds)
    for part, sound in zip(parts, sounds, strict=True):
        track = track.laid_over(sound(reel), part.start, part.end, part.skip)
    return track


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
