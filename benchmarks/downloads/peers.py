"""What else fetches files: curl with the usual tools behind it, and a script over aiohttp."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import time
from collections.abc import Sequence

import aiofiles
import aiohttp

__all__ = ["curl", "curls", "script"]

HASHERS = {"sha256sum": "sha256sum", "openssl": "openssl dgst -sha256 -r"}
_PIECE = 1 << 20


def curl(url: str, folder: str, hasher: str | None) -> tuple[float, list[str]]:
    """Fetch one file, through ``tee`` and a hasher and with a sync after, or bare; seconds, and the digest."""
    name = f"{folder}/{url.rpartition('/')[2]}"
    if hasher is None:
        return _timed(f"curl -sSf -o '{name}' {url}")
    return _timed(f"curl -sSf {url} | tee '{name}' | {HASHERS[hasher]} && sync '{name}'")


def curls(urls: Sequence[str], folder: str, width: int, hasher: str) -> tuple[float, list[str]]:
    """Fetch many at once with one curl, then hash them on all cores, then sync them."""
    names = [url.rpartition("/")[2] for url in urls]
    wanted = " ".join(f"-o '{folder}/{name}' {url}" for name, url in zip(names, urls, strict=True))
    files = " ".join(f"'{folder}/{name}'" for name in names)
    cores = os.cpu_count() or 1
    share = -(-len(names) // cores)
    return _timed(
        f"curl -sSf --parallel --parallel-max {width} {wanted} 2>'{folder}/progress'"
        f" && printf '%s\\n' {files} | xargs -P {cores} -n {share} {HASHERS[hasher]} && sync {files}"
    )


def _timed(line: str) -> tuple[float, list[str]]:
    began = time.perf_counter()
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    return time.perf_counter() - began, sorted(told.split()[0] for told in done.stdout.splitlines())


async def script(urls: Sequence[str], folder: str, width: int) -> list[str]:
    """A script as one writes it: aiohttp, aiofiles, a hash, a sync at the end."""
    places = asyncio.Semaphore(width)
    async with aiohttp.ClientSession(read_bufsize=_PIECE) as session:

        async def fetch(url: str) -> str:
            digest = hashlib.sha256()
            name = f"{folder}/{url.rpartition('/')[2]}"
            async with places, session.get(url) as reply, aiofiles.open(name, "wb") as file:
                async for piece in reply.content.iter_chunked(_PIECE):
                    digest.update(piece)
                    await file.write(piece)
                await file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            return digest.hexdigest()

        return await asyncio.gather(*map(fetch, urls))
