"""The same files fetched by viseme's downloads: streamed to a part file, hashed, checked, synced, renamed."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

from anyio import CapacityLimiter, create_task_group

from viseme.config import Downloads
from viseme.engine.downloads import download
from viseme.engine.downloads.download import Download
from viseme.engine.world import real_world

__all__ = ["run"]


class _NoHash:
    def update(self, data: bytes) -> None: ...

    def hexdigest(self) -> str:
        return ""


async def run(urls: Sequence[str], folder: str, width: int, hashed: bool = True) -> list[str]:
    """Fetch files, ``width`` at once; returns their digests."""
    if not hashed:
        download.hashlib = SimpleNamespace(sha256=_NoHash)  # pyright: ignore
    world, places, limits = real_world(), CapacityLimiter(width), Downloads(max_bytes=1 << 40)
    digests: dict[str, str] = {}
    async with world.connect() as transport, create_task_group() as group:

        async def fetch(url: str) -> None:
            async with places:
                final = f"{folder}/{url.rpartition('/')[2]}"
                digests[url] = (await Download(world, transport, limits, url, final, private=True).run()).sha256

        for url in urls:
            group.start_soon(fetch, url)
    return [digests[url] for url in urls]
