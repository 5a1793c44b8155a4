"""The demo's media: clips at the sandbox, two of them on this machine, one in Rask's library already."""

from __future__ import annotations

import os
from collections.abc import Iterable

import aiohttp
import anyio.to_thread
from attrs import frozen

from viseme import Job
from viseme.cli.guard import Unusable, usable
from viseme.jobs import is_url
from viseme.wording import quote

__all__ = ["Media", "gather", "have_made"]

_FOLDER = "inputs"


@frozen(kw_only=True)
class Media:
    """Where the jobs find their media.

    Attributes:
        links: the address of the sandbox's clips.
        video, audio: paths of a film of 4 s and a voice of 5 s on this machine.
        medium: the id of ``tall.mp4`` in Rask's library.
    """

    links: str
    video: str
    audio: str
    medium: str

    def link(self, name: str) -> str:
        """The address of a clip."""
        return f"{self.links}/{name}"

    def voice(self, seconds: float, number: int) -> str:
        """The address of a voice, which no other number has."""
        return self.link(f"audio-{seconds:g}-{number}.wav")


async def gather(address: str, out: str) -> Media:
    """Save two clips in the output folder, and put one into Rask's library, as somebody might have at rask.ai.

    Args:
        address: of the sandbox.

    Raises:
        Unusable: the clips cannot be saved.
    """
    links, folder = f"{address}/media", os.path.join(out, _FOLDER)
    video, audio = os.path.join(folder, "talk.mp4"), os.path.join(folder, "talk.wav")
    with usable():
        os.makedirs(folder, exist_ok=True)
    async with aiohttp.ClientSession(trust_env=False) as session:
        for name, path in (("sample.mp4", video), ("sample.wav", audio)):
            data = await _get(session, f"{links}/{name}")
            with usable():
                await anyio.to_thread.run_sync(_write, path, data)
        medium = await _put_in_library(session, f"{address}/rask", f"{links}/tall.mp4")
    return Media(links=links, video=video, audio=audio, medium=medium)


async def have_made(chosen: Iterable[Job]) -> int:
    """Have the sandbox make the clips that jobs name, which it does when each is first asked for; says how many."""
    links = sorted({source for job in chosen for source in job.sources if is_url(source)})
    async with aiohttp.ClientSession(trust_env=False) as session:
        for link in links:
            await _get(session, link)
    return len(links)


async def _get(session: aiohttp.ClientSession, link: str) -> bytes:
    async with session.get(link) as reply:
        if reply.status != 200:
            raise Unusable(f"the sandbox did not make {quote(link)}: HTTP {reply.status}")
        return await reply.read()


async def _put_in_library(session: aiohttp.ClientSession, rask: str, link: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
    async with session.post(f"{rask}/oauth2/token", data=form) as reply:
        token = (await reply.json())["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    async with session.post(f"{rask}/api/library/v1/media/link", json={"link": link}, headers=headers) as reply:
        return (await reply.json())["id"]


def _write(path: str, data: bytes) -> None:
    """Write a file, unless it is there already: another demo may be reading it."""
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == data:
                return
    with open(path, "wb") as file:
        file.write(data)
