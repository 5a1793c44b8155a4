"""Rask's stand-in under every fault at once, before a customer who looks before he repeats."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import attrs
import pytest
from tests.integration.rask_customer import FULL, LIBRARY, PROJECTS, RaskCustomer, rask

from viseme.sandbox.vendors.rask_dub import FAILURES

Answer = dict[str, Any]


async def trying(work: Callable[[], Awaitable[Any]], good: Callable[[Any], bool] = bool) -> Any:
    """Does something until it works out."""
    while True:
        try:
            if good(told := await work()):
                return told
        except (aiohttp.ClientError, KeyError, TypeError, ValueError):
            pass
        await asyncio.sleep(0.002)


@attrs.frozen
class Stubborn:
    """A customer whose safe calls are repeated, and whose paid ones are not."""

    client: RaskCustomer

    async def answer(self, method: str, path: str, **options: Any) -> Answer:
        """The object that came; empty for a refusal, a page, half a reply or none."""
        try:
            status, told = await self.client.send(method, path, **options)
        except (aiohttp.ClientError, ValueError):
            return {}
        if status == 401:
            await trying(self.client.new_token)
        return told if status == 200 and isinstance(told, dict) else {}

    async def seen(self, path: str, good: Callable[[Answer], bool] = bool, **query: Any) -> Answer:
        return await trying(lambda: self.answer("GET", path, params=query), good)

    async def media(self, number: int) -> str:
        link = {"link": f"https://films.test/{number}.mp4"}
        id = (await trying(lambda: self.answer("POST", f"{LIBRARY}/link", json=link)))["id"]
        await self.seen(f"{LIBRARY}/{id}", lambda told: told.get("status") == "ready")
        return id

    async def project(self, number: int) -> str:
        name, media = f"film-{number:03}", await self.media(number)
        while not (found := (await self.seen(PROJECTS, name=name))["projects"]):
            body = {"video_id": media, "dst_lang": "de-de", "name": name}
            await self.answer("POST", PROJECTS, json=body)
        return found[0]["id"]

    async def film(self, number: int) -> str:
        """One job from start to end: the status of a dub that failed, or how the lip-sync ended."""
        id = await self.project(number)
        ends = {"merging_done", *FAILURES}
        dub = (await self.seen(f"{PROJECTS}/{id}", lambda told: told.get("status") in ends))["status"]
        if dub != "merging_done":
            return dub
        path = f"{PROJECTS}/{id}/lipsync"
        while True:
            told = await self.seen(path)
            if told["lipsync_task_status"] == "failed":
                return "lip-sync failed"
            if told["lipsync_task_status"] == "done" and await self.fetched(told["lipsync_result_path"]):
                return "done"
            if told["lipsync_task_status"] is None and told["video_has_face"]:
                await self.client.once("PUT", path, FULL)

    async def fetched(self, url: str) -> bool:
        try:
            status, data, _ = await self.client.base.get(url)
        except aiohttp.ClientError:
            return False
        return status == 200 and len(data) > 20_000


@pytest.mark.parametrize("seed", [7, 8])
async def test_in_a_hostile_house_a_customer_who_looks_before_repeating_pays_once(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with rask(faults="hostile", seed=seed, speed=4000, fixed_size=20_000) as client:
        films = (Stubborn(client).film(number) for number in range(25))
        ends = await asyncio.wait_for(asyncio.gather(*films), 100)
        bill = client.bill()
        assert (bill["duplicates"], bill["duplicate_projects"], bill["projects"]) == (0, 0, 25)
        assert bill["creates"] == ends.count("done") + ends.count("lip-sync failed") == 25 - bill["dub_failures"]
        assert bill["delivered"] == ends.count("done") > 15
        assert (bill["dub_minutes"], bill["lipsync_minutes"]) == (25, bill["creates"])
        assert len({row["fault"] for row in client.sandbox.log()}) > 8
    assert not [record for record in caplog.records if record.exc_info]
