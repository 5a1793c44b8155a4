"""`status`, `cancel` and `reconcile`: beside a run, and where nobody owns the ledger."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from tests.support.commands import Desk, desk, in_order
from tests.support.small_disks import unwritable


async def lose_a_create(at: Desk) -> None:
    """One job at JoggAI whose create was carried out and never answered, parked since nothing tells."""
    at.sandbox.inject("lost_reply", vendor="jogg", route="create")
    done = await at.viseme("run", at.write(at.row(1, account="jogg")))
    assert done.status == 1
    assert "jogg: 1 parked (fate_unknown)" in done.err
    assert "viseme reconcile" in done.err


async def test_status_and_cancel_work_beside_a_run(tmp_path: Path) -> None:
    async with desk(tmp_path, slow=True, concurrency=4) as at:
        manifest = at.write(*(at.row(n, account=("sync", "jogg")[n % 2]) for n in range(16)))
        command = await at.start("run", manifest, "--events", "-")
        await at.until(lambda: at.creates() == 8)
        states: dict[str, int] = {}
        while states != {"queued": 4, "waiting": 4}:
            told = await at.viseme("status", "--json")
            jogg = json.loads(told.out)["accounts"]["jogg"]
            states = jogg["states"]
        while jogg["gates"]["seats"]["taken"] != 4:
            jogg = json.loads((await at.viseme("status", "--json")).out)["accounts"]["jogg"]
        assert jogg["gates"]["seats"] == {"taken": 4, "limit": 4, "stated": 4}
        assert jogg["gates"]["create"]["gate"] == "seat"
        assert jogg["gates_age"] < 60
        shown = await at.viseme("status")
        assert "all 4 seats are taken" in shown.out

        began = time.monotonic()
        called = await at.viseme("cancel", "k1", "k15")
        assert called.status == 0
        assert "k1: cancelled; jogg has no cancel; the job runs on and is billed" in called.out
        assert "k15: cancelled; it had not been created, so nothing is billed" in called.out
        assert time.monotonic() - began < 18, "it does not wait for as long as it may"
        everything = await at.viseme("cancel", "--all")
        assert everything.status == 0
        assert "7 jobs: cancelled; it had not been created" in everything.out
        assert "4 jobs: cancelled; sync has no cancel" in everything.out
        assert "3 jobs: cancelled; jogg has no cancel" in everything.out
        done = await command.finished()
        assert done.status == 1
        assert {types[-1] for types in in_order(done.events()).values()} == {"cancelled"}
        assert at.creates() == 8


async def test_cancel_acts_itself_where_nobody_owns_the_ledger(tmp_path: Path) -> None:
    async with desk(tmp_path, slow=True) as at:
        command = await at.start("run", at.write(at.row(1), at.row(2)))
        await at.until(lambda: at.creates() == 2)
        command.interrupt()
        assert (await command.finished()).status == 130
        done = await at.viseme("cancel", "k1")
        assert (done.status, done.out) == (0, "k1: cancelled; sync has no cancel; the job runs on and is billed\n")
        assert at.results()[-1]["state"] == "cancelled"
        again = await at.viseme("cancel", "k1")
        assert (again.status, again.out) == (0, "k1: was cancelled already\n")
        unknown = await at.viseme("cancel", "k9")
        assert unknown.status == 2
        assert "no job with the key 'k9'" in unknown.err
        neither = await at.viseme("cancel")
        assert neither.status == 2
        assert "--all" in neither.err
        at.let_go()
        assert (await at.viseme("resume")).status == 0
        assert at.creates() == 2


async def test_reconcile_shows_the_choices_and_resubmits_by_order(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await lose_a_create(at)
        listed = await at.viseme("reconcile")
        assert listed.status == 0
        assert "waits for you" in listed.out
        assert "--resubmit KEY" in listed.out
        assert "--abandon KEY" in listed.out
        ordered = await at.viseme("reconcile", "--resubmit", "k1")
        assert ordered.status == 0
        assert "queued again" in ordered.out
        assert at.creates() == 1
        assert (await at.viseme("resume")).status == 0
        assert at.creates() == 2
        settled = await at.viseme("reconcile", "--abandon", "k1")
        assert settled.status == 2
        assert "the fate of 'k1' is known, it is succeeded" in settled.err
        assert "no create's fate is unknown" in (await at.viseme("reconcile")).out


async def test_reconcile_abandons_beside_a_run_that_obeys(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        await lose_a_create(at)
        command = await at.start("run", "-", "--skip-invalid", "--events", "-")
        await command.give(at.row(2, account="sync"))
        while json.loads(await command.line())["type"] != "succeeded":
            pass
        ordered = await at.viseme("reconcile", "--abandon", "k1")
        assert (ordered.status, ordered.out) == (0, "k1 has ended as failed, by your order\n")
        assert (await command.finished()).status == 0
        assert at.results()[-1]["key"] == "k1"
        assert at.results()[-1]["state"] == "failed"
        assert at.creates() == 2


async def test_a_missing_ledger_is_said_and_not_made(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        commands = (["status"], ["reconcile"], ["cancel", "k1"], ["resume"])
        for done in await asyncio.gather(*(at.viseme(*command) for command in commands)):
            assert done.status == 2
            assert "there is no ledger" in done.err
        assert not (tmp_path / "out").exists()


async def test_a_run_that_lies_where_nothing_can_be_written_can_be_looked_at(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync") as at:
        assert (await at.viseme("run", at.write(at.row(1)))).status == 0
        with unwritable(tmp_path / "out"):
            told = await at.viseme("status", "--json")
            assert (told.status, told.err) == (0, "")
            assert json.loads(told.out)["accounts"]["sync"]["states"] == {"succeeded": 1}
            spent = await at.viseme("spend")
            assert (spent.status, spent.err) == (0, "")


async def test_accounts_are_shown_without_their_keys(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync", "jogg", api_key="$THE_KEY", pool="acme") as at:
        done = await at.viseme("accounts", THE_KEY="tell-nobody")
        assert done.status == 0
        for word in ("sync*", "jogg", f"{at.address}/sync", "lipsync-2", "acme", "yes", "create 1000/s"):
            assert word in done.out
        assert "tell-nobody" not in done.out + done.err
        unset = await at.viseme("accounts")
        assert unset.status == 2
        assert "reads the environment variable THE_KEY, which is not set" in unset.err


async def test_accounts_show_what_is_left_where_their_vendors_tell(tmp_path: Path) -> None:
    async with desk(tmp_path, settings={"jogg": {"credits": 37.5}}) as at:
        done = await at.viseme("accounts")
        assert (done.status, done.err) == (0, "")
        lines = {line.split()[0].rstrip("*"): line for line in done.out.splitlines()[1:5]}
        for name, left in (("sync", " - "), ("jogg", " 37.5 credits "), ("aimlapi", " usd "), ("rask", " minutes ")):
            assert left in lines[name], name


async def test_accounts_are_shown_although_their_vendors_do_not_answer(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.configure("jogg", "aimlapi", base_url="http://127.0.0.1:9")
        done = await at.viseme("accounts")
        assert done.status == 0
        assert done.out.count("yes") == 2
        for name in ("jogg", "aimlapi"):
            assert f"what is left on {name} was not told: " in done.err
