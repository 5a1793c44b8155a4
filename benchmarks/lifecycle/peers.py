"""What would be written instead: a script over aiohttp, the same with care for its files, and Sync's own client."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiofiles
import aiohttp

__all__ = ["bare", "fair", "syncsdk"]

Keep = Callable[[aiohttp.ClientResponse, str], Awaitable[None]]


async def bare(address: str, jobs: int, in_flight: int, every: float, folder: str) -> None:
    """``asyncio.gather`` with a semaphore and aiofiles; no ledger, no limits, no retries."""
    await _script(address, jobs, in_flight, every, folder, _write)


async def fair(address: str, jobs: int, in_flight: int, every: float, folder: str) -> None:
    """The same, and each file is hashed, synced and renamed: all in one thread hop, which is the cheapest way."""
    await _script(address, jobs, in_flight, every, folder, _write_with_care)


async def _script(address: str, jobs: int, in_flight: int, every: float, folder: str, keep: Keep) -> None:
    os.makedirs(folder, exist_ok=True)
    semaphore = asyncio.Semaphore(in_flight)
    headers = {"x-api-key": "sandbox"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def run(number: int) -> None:
            async with semaphore:
                async with session.post(f"{address}/v2/generate", json=_body(number)) as reply:
                    reply.raise_for_status()
                    found = await reply.json()
                url = f"{address}/v2/generate/{found['id']}"
                while found["status"] != "COMPLETED":
                    await asyncio.sleep(every)
                    async with session.get(url) as reply:
                        reply.raise_for_status()
                        found = await reply.json()
                async with session.get(found["outputUrl"]) as reply:
                    reply.raise_for_status()
                    await keep(reply, os.path.join(folder, f"job-{number}.mp4"))

        await asyncio.gather(*(run(number) for number in range(jobs)))


def _body(number: int) -> dict[str, Any]:
    return {
        "model": "lipsync-2",
        "input": [
            {"type": "video", "url": f"https://media.example/film-{number}.mp4"},
            {"type": "audio", "url": f"https://media.example/speech-{number}.wav"},
        ],
        "options": {"sync_mode": "loop"},
    }


async def _write(reply: aiohttp.ClientResponse, path: str) -> None:
    async with aiofiles.open(path, "wb") as file:
        async for piece in reply.content.iter_chunked(1 << 16):
            await file.write(piece)


async def _write_with_care(reply: aiohttp.ClientResponse, path: str) -> None:
    await asyncio.to_thread(_settle, await reply.read(), path)


def _settle(data: bytes, path: str) -> str:
    with open(path + ".part", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".part", path)
    return hashlib.sha256(data).hexdigest()


async def syncsdk(address: str, jobs: int, in_flight: int, every: float, folder: str) -> None:
    """Sync's own client, with the loop that its users write around it."""
    import httpx
    from sync import AsyncSync, Audio, GenerationOptions, Video

    os.makedirs(folder, exist_ok=True)
    semaphore = asyncio.Semaphore(in_flight)
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=60) as http:
        client = AsyncSync(base_url=address, api_key="sandbox", httpx_client=http)

        async def run(number: int) -> None:
            async with semaphore:
                found = await client.generations.create(
                    model="lipsync-2",
                    input=[
                        Video(url=f"https://media.example/film-{number}.mp4"),
                        Audio(url=f"https://media.example/speech-{number}.wav"),
                    ],
                    options=GenerationOptions(sync_mode="loop"),
                )
                while found.status != "COMPLETED":
                    await asyncio.sleep(every)
                    found = await client.generations.get(found.id)
                async with (
                    aiofiles.open(os.path.join(folder, f"job-{number}.mp4"), "wb") as file,
                    http.stream("GET", str(found.output_url)) as reply,
                ):
                    reply.raise_for_status()
                    async for piece in reply.aiter_bytes():
                        await file.write(piece)

        await asyncio.gather(*(run(number) for number in range(jobs)))
