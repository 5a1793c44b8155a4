"""Money as scripts see it: what a manifest would cost, what a budget lets through, and what was spent in the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.commands import Desk, desk


def bill(at: Desk, vendor: str) -> int:
    return at.sandbox.bill()[vendor]["creates"]


async def test_a_budget_lets_so_much_through_and_a_later_run_with_more_goes_on(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync", price="1 credits/job") as at:
        manifest = at.write(*[at.row(number) for number in range(10)])
        done = await at.viseme("run", manifest, "--budget", "6 credits", "--no-preflight")
        assert done.status == 1
        assert "4 parked (budget)" in done.err
        assert "raise the budget, or wait for its next period" in done.err
        assert at.creates() == 6
        status = await at.viseme("status")
        assert "4 parked (budget)" in status.out
        done = await at.viseme("resume", "--budget", "8 credits")
        assert (done.status, at.creates()) == (1, 8)
        done = await at.viseme("run", manifest, "--no-preflight")
        assert (done.status, at.creates()) == (0, 10)


async def test_what_is_spent_adds_up_to_the_bill(tmp_path: Path) -> None:
    async with desk(tmp_path, "aimlapi", "jogg") as at:
        at.sandbox.inject("job_failed", vendor="jogg", route="create", times=2)
        rows = [at.row(number, account=("aimlapi", "jogg")[number % 2]) for number in range(10)]
        done = await at.viseme("run", at.write(*rows), "--no-preflight")
        assert done.status == 1
        told = json.loads((await at.viseme("spend", "--json")).out)
        parts = {line["account"]: line for line in told["days"]}
        assert parts["aimlapi"]["spent"]["jobs"] == bill(at, "aimlapi") == 5
        assert parts["aimlapi"]["spent"]["usd"] == 5.0
        assert parts["jogg"]["spent"]["jobs"] + parts["jogg"]["failed"]["jobs"] == bill(at, "jogg") == 5
        assert parts["jogg"]["failed"]["jobs"] == 2
        table = (await at.viseme("spend")).out
        assert "10,000,000 credits (5 jobs)" in table
        assert "failed but billed" in table


async def test_spend_reads_a_ledger_that_is_owned_and_one_without_charges(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync", slow=True, price="2 credits/job") as at:
        command = await at.start("run", at.write(at.row(1), at.row(2)), "--no-preflight")
        await at.until(lambda: at.creates() == 2)
        during = await at.viseme("spend")
        assert during.status == 0
        assert "4 credits (2 jobs)" in during.out
        at.let_go()
        assert (await command.finished()).status == 0
        missing = await at.viseme("spend", "--out", "elsewhere")
        assert (missing.status, missing.err.count("\n")) == (2, 1)


async def test_an_estimate_shows_both_units_and_whose_figure_it_is(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        manifest = at.write(at.row(1), at.row(2, account="jogg"), at.row(3, account="aimlapi"))
        done = await at.viseme("estimate", manifest)
        assert (done.status, done.err) == (0, "")
        lines = {line.split()[1]: line for line in done.out.splitlines() if line.startswith("k")}
        assert "at most" in lines["sync"]
        assert "usd" in lines["sync"]
        assert "the vendor's estimate" in lines["sync"]
        assert "credits" in lines["jogg"]
        assert "unknown" in lines["jogg"]
        assert "published 2026-11-20" in lines["jogg"]
        assert "2,000,000 credits" in lines["aimlapi"]
        assert "published 2026-08-21" in lines["aimlapi"]
        assert at.creates() == 0
        assert not (tmp_path / "out").exists()
        told = json.loads((await at.viseme("estimate", manifest, "--json")).out)
        assert [job["cost"]["unit"] for job in told["jobs"]] == ["usd", "credits", "credits"]
        assert {one["account"]: one["usd"] for one in told["accounts"]}["aimlapi"] == 1.0


async def test_an_estimate_of_many_jobs_is_told_in_sums(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync", price="0.5 usd/job") as at:
        done = await at.viseme("estimate", at.write(*[at.row(number) for number in range(60)]))
        assert done.status == 0
        assert "k1 " not in done.out
        assert "30 usd" in done.out
        assert "accounts.sync.price" in done.out


async def test_an_estimate_of_a_manifest_with_bad_rows_names_them(tmp_path: Path) -> None:
    async with desk(tmp_path, "sync") as at:
        done = await at.viseme("estimate", at.write(at.row(1), {"video": "x"}, "{bad"))
        assert done.status == 2
        assert "2 rows cannot be run" in done.err
        assert "line 2:" in done.err


@pytest.mark.parametrize("budget", ["lots", "-5usd", "25", "25 bananas", "500 credits/fortnight", ""])
async def test_a_budget_that_makes_no_sense_is_one_sentence_and_status_2(budget: str, tmp_path: Path) -> None:
    async with desk(tmp_path, "sync") as at:
        done = await at.viseme("run", at.write(at.row(1)), "--budget", budget)
        assert (done.status, at.creates()) == (2, 0)
        assert done.err.startswith("viseme: --budget: ")
        assert done.err.count("\n") == 1
        assert not (tmp_path / "out").exists()


async def test_a_budget_in_a_unit_in_which_the_price_is_unknown_names_the_setting(tmp_path: Path) -> None:
    async with desk(tmp_path, "jogg") as at:
        done = await at.viseme("run", at.write(at.row(1)), "--budget", "25usd", "--no-preflight")
        assert (done.status, at.creates()) == (2, 0)
        assert 'state it in accounts.jogg, like price = "0.05 usd/s"' in done.err
