"""Text instead of audio: spoken by the vendor, checked against its limits before anything is sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sandbox_client import Film
from tests.support.commands import desk
from tests.support.sandboxes import Stage, staged

import viseme
from viseme.providers.aimlapi import VOICES
from viseme.sandbox.samples import voice_hz

SYNC_LONGEST, AIML_LONGEST = 5000, 200
SPOKEN = {
    "sync": ("eleven-voice-1", "Good morning, and welcome to the show."),
    "aimlapi": ("Harper", "Guten Tag, Köln, und willkommen!"),
}


def spoken(stage: Stage, vendor: str, number: int = 1, **over: Any) -> viseme.Job:
    voice, text = SPOKEN.get(vendor, ("v", "hello"))
    return stage.job(number, vendor, **{"audio": None, "text": text, "voice": voice, **over})


@pytest.mark.parametrize("vendor", SPOKEN)
async def test_the_result_speaks_the_text_with_the_voice_and_is_billed_once(tmp_path: Path, vendor: str) -> None:
    async with staged(tmp_path, fixed_size=None) as stage:
        voice, text = SPOKEN[vendor]
        async with asyncio.timeout(100), stage.scheduler(stage.account(vendor)) as scheduler:
            task = await scheduler.submit(spoken(stage, vendor))
            result = await task.result()
        assert result.file is not None
        film = await asyncio.to_thread(lambda: Film.open(Path(result.file or "").read_bytes()))
        seconds = max(1.0, len(text) / 15)  # the pace of the sandbox's voices
        assert film.seconds == pytest.approx(seconds, abs=0.1)
        assert film.pitch(0.1, seconds - 0.1) == pytest.approx(voice_hz(sum(voice.encode())), abs=12)
        assert (stage.creates(vendor), stage.bill(vendor)["duplicates"]) == (1, 0)


@pytest.mark.parametrize(("vendor", "longest"), [("sync", SYNC_LONGEST), ("aimlapi", AIML_LONGEST)])
async def test_the_longest_text_is_taken_and_one_character_more_is_refused_here(
    tmp_path: Path, vendor: str, longest: int
) -> None:
    async with staged(tmp_path) as stage:
        async with asyncio.timeout(100), stage.scheduler(stage.account(vendor)) as scheduler:
            with pytest.raises(viseme.JobInvalid, match=f"text has {longest + 1} characters, {vendor} takes {longest}"):
                await scheduler.submit(spoken(stage, vendor, text="ö" * (longest + 1)))
            assert stage.sandbox.log(vendor) == []
            task = await scheduler.submit(spoken(stage, vendor, text="ö" * longest))
            assert (await task.result()).state is viseme.State.SUCCEEDED
        assert stage.creates(vendor) == 1


@pytest.mark.parametrize(
    ("vendor", "over", "said"),
    [
        ("aimlapi", {"voice": "Nobody"}, "aimlapi has no voice 'Nobody'; voices are Harper, Ava"),
        ("aimlapi", {"voice": None}, "aimlapi needs a voice for the text"),
        ("sync", {"voice": None}, "text needs a voice: the id of an ElevenLabs voice"),
        ("jogg", {}, "lip-sync takes no text; give audio"),
    ],
)
async def test_a_voice_that_is_not_there_is_refused_here(
    tmp_path: Path, vendor: str, over: dict[str, Any], said: str
) -> None:
    async with staged(tmp_path) as stage, stage.scheduler(stage.account(vendor)) as scheduler:
        with pytest.raises(viseme.JobInvalid, match=said):
            await scheduler.submit(spoken(stage, vendor, **over))
        assert stage.posts(vendor) == []


async def test_every_voice_of_aimlapi_speaks(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        jobs = [spoken(stage, "aimlapi", number, voice=voice) for number, voice in enumerate(VOICES)]
        scheduler = stage.scheduler(stage.account("aimlapi"))
        async with asyncio.timeout(100), scheduler, scheduler.run(jobs, preflight=True) as run:
            assert (await run.wait()).succeeded == len(VOICES)
        assert stage.creates("aimlapi") == len(VOICES)


async def test_the_text_limit_of_an_account_can_be_moved(tmp_path: Path) -> None:
    async with staged(tmp_path, settings={"aimlapi": {"max_text": 400}}) as stage:
        account = stage.account("aimlapi", max_text=400)
        async with asyncio.timeout(100), stage.scheduler(account) as scheduler:
            task = await scheduler.submit(spoken(stage, "aimlapi", text="x" * 400))
            assert (await task.result()).state is viseme.State.SUCCEEDED
            with pytest.raises(viseme.JobInvalid, match="takes 400"):
                await scheduler.submit(spoken(stage, "aimlapi", 2, text="x" * 401))


async def test_a_manifest_of_spoken_rows_runs_and_too_long_ones_are_refused(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        rows = [
            at.row(1, audio=None, text="Hello there", voice="eleven-1"),
            at.row(2, audio=None, text="Hello there", voice="Ava", account="aimlapi"),
        ]
        long = at.row(3, audio=None, text="x" * 201, voice="Ava", account="aimlapi")
        refused = await at.viseme("run", at.write(*rows, long))
        assert refused.status == 2
        assert "line 3: text has 201 characters, aimlapi takes 200" in refused.err
        assert at.creates() == 0
        assert (await at.viseme("run", at.write(*rows))).status == 0
        assert at.creates() == 2
