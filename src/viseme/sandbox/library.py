"""The sample media under `/media/`, each made when first asked for."""

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from aiohttp import web

from . import samples
from .blob import Blob, send
from .studio import Studio

_TYPES = {".mp4": "video/mp4", ".wav": "audio/wav", ".jpg": "image/jpeg"}
_MEASURED = re.compile(r"(audio|video)-(\d+(?:\.\d+)?)(?:-(\d+))?\.(wav|mp4)")
_LONGEST = 600.0

_NAMED: dict[str, Callable[[Path], None]] = {
    "sample.mp4": partial(samples.make_video, seconds=4.0),
    "sample.wav": partial(samples.make_audio, seconds=5.0, seed=1),
    "short.mp4": partial(samples.make_video, seconds=1.0),
    "long.mp4": partial(samples.make_video, seconds=12.0),
    "tall.mp4": partial(samples.make_video, seconds=3.0, width=180, height=320),
    "film.mp4": partial(samples.make_video, seconds=3.0, width=640, height=360, fps=24),
    "short.wav": partial(samples.make_audio, seconds=1.5, seed=2),
    "long.wav": partial(samples.make_audio, seconds=20.0, seed=3),
    "face.jpg": samples.make_image,
}


class Library:
    """Sample clips by name, and `audio-SECONDS[-VOICE].wav` or `video-SECONDS.mp4` of any length up to ten minutes."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def routes(self) -> Iterable[web.RouteDef]:
        """The routes under `/media`; GET answers HEAD too."""
        return (web.get("/media/{name}", self._serve),)

    async def path(self, name: str) -> Path | None:
        """The file of that name, made if need be; None if there is no such sample."""
        make = _maker(name)
        if make is None:
            return None
        path = self._studio.folder / f"media-{name}"

        def fresh() -> Awaitable[None]:
            return self._studio.making(make, path)

        await self._studio.once(("media", name), fresh)
        return path

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        path = await self.path(name)
        if path is None:
            return web.Response(status=404, text="Not Found")
        blob = await self._studio.once(("sample", name), lambda: self._studio.blocking(Blob.read, path))
        return (await send(request, blob, _TYPES[path.suffix]))[0]


def _maker(name: str) -> Callable[[Path], None] | None:
    if name in _NAMED:
        return _NAMED[name]
    found = _MEASURED.fullmatch(name)
    if found is None or not 0 < float(found[2]) <= _LONGEST or (found[1] == "audio") != (found[4] == "wav"):
        return None
    make = samples.make_audio if found[1] == "audio" else samples.make_video
    return partial(make, seconds=float(found[2]), seed=int(found[3] or 1))
