"""Secrets stay where they belong: a vendor that quotes them back in every sentence has them shown nowhere."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import re
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus

import attrs
import pytest
from aiohttp import web
from tests.support.hosts import hosted
from tests.support.sandboxes import VENDORS, Stage, staged

import viseme
from viseme.cli.status import status
from viseme.engine.masking import Mask
from viseme.errors import VisemeError

KEY = "sk-live-9fQ2/xY+7Zr=Kp4Lw8Tn"
CLIENT, SECRET = "client-5516", "cs-Hn3/vB+6Dm=Qs1Jx0Rt"
TOKENS = [f"eyJhbGciOi.{number}bXlUb2tlbg.c2ln-{number}" for number in range(100)]
BASIC = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
SPELLINGS = [KEY, SECRET, BASIC, quote(KEY, safe=""), quote(SECRET, safe="")]


def shown(text: str | bytes) -> list[str]:
    """Which secrets a text holds, by so much as half of one."""
    told = text if isinstance(text, str) else text.decode("latin-1")
    told += unquote_plus(told)
    halves = [secret[: len(secret) // 2] for secret in SPELLINGS] + ["eyJhbGciOi."]
    return [half for half in halves if half in told]


@attrs.define
class Parrot:
    """Vendors that say everything that they are sent, in every word of their replies; ``mood`` chooses the status."""

    mood: str
    asked: int = 0
    tokens: int = 0
    heard: set[str] = attrs.field(factory=set[str])

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        key = " ".join(text for name, text in request.headers.items() if name.lower() in ("x-api-key", "authorization"))
        said = f"{key} {(await request.read()).decode(errors='replace')} {dict(request.headers)}"
        self.heard.update(shown(said))
        if request.path.endswith("/token"):
            self.tokens += 1
            if self.tokens % 4:
                lasts = 5 if self.tokens > 1 else 60  # the first until it was shown, on a slow machine too
                return web.json_response({"access_token": TOKENS[self.tokens % 100], "expires_in": lasts})
        late = "x" * 150 + f" {key}"  # where quoting cuts it off in the middle
        if self.mood == "mumbles":
            return web.Response(status=MOODS[self.mood], text=late)
        failed = "failed" if self.mood == "accepts" and self.asked % 3 else said
        words: dict[str, Any] = dict.fromkeys(WORDS, said) | dict.fromkeys(LATE, late) | {"status": failed}
        words |= {"error": {"message": late, "code": said, "type": said}, "detail": [{"msg": said, "loc": [said]}]}
        words |= {"id": "t1", "task_id": "t1", "data": {**words, "task_id": "t1"}, "items": [words.copy()]}
        words["code"] = 0 if self.mood == "accepts" else said
        return web.json_response(words, status=MOODS[self.mood], headers={"Retry-After": "0"})


WORDS = ("errorCode", "error_code", "detail", "type", "name", "rid", "lipsync_task_status", "check_face_task_status")
LATE = ("message", "msg", "error_description", "description", "failureReason")
OURS = ("viseme.engine", "viseme.ledger", "viseme.providers")
MOODS = {"accepts": 200, "refuses": 400, "forbids": 401, "limits": 429, "breaks": 500, "mumbles": 400}


def sweep(folder: Path) -> dict[str, list[str]]:
    """The files that hold a secret, ledger, ``-wal`` and parts included."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name: found for path in files if (found := shown(path.read_bytes()))}


def accounts(stage: Stage, base: str, mood: str) -> list[viseme.Account]:
    keys: dict[str, Any] = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "token_url": f"{base}/oauth2/token",
        "client_auth": "basic" if mood in ("refuses", "limits") else "post",
    }
    polling = {"first": "1s", "every": "2s", "deadline": "30s"}
    return [
        stage.account(vendor, base_url=base, polling=polling, **(keys if vendor == "rask" else {"api_key": KEY}))
        for vendor in VENDORS
    ]


@pytest.mark.parametrize("mood", MOODS)
async def test_what_a_vendor_quotes_back_is_in_no_file_event_message_log_or_traceback(
    mood: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    told: list[str] = []
    parrot = Parrot(mood)
    async with staged(tmp_path, speed=200) as stage, hosted(parrot.handle) as base:
        given = accounts(stage, base, mood)
        told += [repr(given), str(given)]
        async with asyncio.timeout(100), stage.scheduler(*given, notice=told.append) as scheduler:
            told.append(repr(scheduler))
            async with scheduler.run(stage.jobs(8, *VENDORS)) as run:
                async for event in run:
                    told += [repr(event), json.dumps(event.to_dict())]
                    if mood == "limits" and parrot.asked > 60:
                        break  # a vendor that says so is waited for
                told += [repr(run), repr(run.tally), repr(run.troubles)]
                told += [repr(office.figures()) for office in run.core.offices.values()]
            for number in range(8):
                task = await scheduler.task(f"job-{number:05d}")
                assert task is not None
                told += [repr(task), repr(await task.why())]
                try:
                    told.append(repr(await task.result()))
                except VisemeError as error:
                    told += [repr(error), str(error), *traceback.format_exception(error)]
            assert not sweep(tmp_path), "while the ledger is open"
        assert not sweep(tmp_path)
    asyncio.get_running_loop().set_debug(False)
    await asyncio.to_thread(status, out=str(tmp_path / "out"), ledger=None, as_json=True)
    captured = capfd.readouterr()
    told += [caplog.text, *(repr(record.args) for record in caplog.records), captured.out, captured.err]
    assert not [(text[:300], found) for text in told if (found := shown(text))]
    assert len(parrot.heard) >= 3, "the vendors were told their secrets"
    assert any("***" in text for text in told), "and quoted them"


async def test_what_is_shown_of_any_part_at_work_is_short_and_holds_no_secret(tmp_path: Path) -> None:
    """In a debugger, a failed assertion, and where asyncio names what was slow. (Parts are equal to nothing else.)"""
    told: dict[str, str] = {}
    others = {id(one) for one in gc.get_objects()}
    async with staged(tmp_path, speed=50) as stage:
        near = [stage.account(vendor, api_key=f"sandbox-{KEY}") for vendor in VENDORS if vendor != "rask"]
        async with (
            asyncio.timeout(60),
            stage.scheduler(*near) as scheduler,
            scheduler.run(stage.jobs(100, "sync", "jogg", "aimlapi")) as run,
        ):
            async for _ in run:
                if run.tally.ended >= 40:
                    break
            told["run"] = repr(run)
            for one in gc.get_objects():
                kind = type(one)
                if str(kind.__module__).startswith(OURS) and kind.__eq__ is object.__eq__ and id(one) not in others:
                    told[f"{kind.__module__}.{kind.__qualname__} {id(one)}"] = repr(one)
    assert re.fullmatch(r"<viseme run \d+: ([4-9]\d|100) of 100 jobs ended or parked>", told["run"])
    assert len({name.split()[0] for name in told}) > 40
    assert not {name: len(text) for name, text in told.items() if len(text) > 5000}
    assert not {name: text[:300] for name, text in told.items() if shown(text)}


@pytest.mark.parametrize("name", ["api_key", "client_secret", "client_id"])
async def test_a_mistake_in_the_configuration_does_not_show_the_key(name: str) -> None:
    for more in ({"concurrency": 0}, {"unknown": 1}, {"base_url": "x"}, {"rates": {"create": "x"}}, {"mode": "x"}):
        with pytest.raises(VisemeError) as caught:
            viseme.Scheduler([viseme.Account("sync" if name == "api_key" else "rask", **{name: KEY, **more})])
        assert not shown("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("bad key abcdef-123456!", "bad key ***!"),
        ("abcdef-123456abcdef-123456", "******"),
        ("cut: abcdef-1…", "cut: ***…"),
        ("cut: abcdef-12345…", "cut: ***…"),
        ("cut: abcde…", "cut: abcde…"),
        ("an abcdef-… and more", "an ***… and more"),
        ("%2Fodd%2Bsecret%3D and /odd+secret=", "*** and ***"),
        ("%2fodd%2bsecret%3d and /ODD+SECRET=", "*** and ***"),
        (r"\/odd+secret= and /odd\u002Bsecret= and \u002fodd+secret\u003d", "*** and *** and ***"),
        ("&#x2F;odd&#43;secret&#x3d; and &#47;odd+secret=", "*** and ***"),
        ("cut: %2Fodd%2bsec…", "cut: ***…"),
        ("cut: %2Fodd%2bsecret%3…", "cut: ***…"),
        (r"cut: \/odd+sec…", "cut: ***…"),
        ("cut: &#x2F;odd&#43;secret&#x3…", "cut: ***…"),
        ("nothing of that", "nothing of that"),
    ],
)
def test_a_secret_is_masked_whole_or_cut_and_as_urls_spell_it(text: str, masked: str) -> None:
    assert Mask.of(["abcdef-123456", "/odd+secret=", "short", ""]).text(text) == masked
