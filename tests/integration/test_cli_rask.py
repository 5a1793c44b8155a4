"""Rask's rows through the command: dubbed, lip-synced, previewed, refused without consent, and paid for once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.clips import make_film
from tests.support.commands import Desk, desk


def bought(at: Desk, **lines: int) -> None:
    bill = at.sandbox.bill()["rask"]
    wanted = {"duplicate_projects": 0, "duplicates": 0, "generates": 0, **lines}
    assert {name: bill[name] for name in wanted} == wanted


def uploads(at: Desk) -> list[dict[str, Any]]:
    return [row for row in at.sandbox.log("rask") if row["uploaded"]]


async def test_links_and_a_file_beside_the_manifest_are_dubbed_into_languages(tmp_path: Path) -> None:
    async with desk(tmp_path, "rask") as at:
        make_film(tmp_path / "talk.mp4")
        links = [at.dub(n, language, video=f"{at.address}/media/short.mp4") for n, language in enumerate(("es", "fr"))]
        local = [at.dub(n, language, video="talk.mp4") for n, language in enumerate(("es", "fr", "de"), 2)]
        rows = [{name: value for name, value in row.items() if name != "account"} for row in (*links, *local)]
        done = await at.viseme("run", at.write(*rows), "--events", "-")
        assert done.status == 0, done.err
        assert [line["state"] for line in at.results()] == ["succeeded"] * 5
        assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == [f"k{n}.mp4" for n in range(5)]
        assert len(uploads(at)) == 1, "three languages, one upload"
        assert len(at.sandbox.log("rask", "link")) == 1, "two languages, one link"
        bought(at, projects=5, charged_runs=5, creates=5)
        progress = [event for event in done.events() if event["type"] == "progress"]
        assert progress
        assert all("queue_position" in event for event in progress)


async def test_a_preview_lands_before_the_whole_and_both_are_made_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        manifest = at.write(at.dub(1, options={"preview": "first"}), at.dub(2))
        assert (await at.viseme("run", manifest)).status == 0
        preview = tmp_path / "out" / "k1.preview.mp4"
        assert preview.stat().st_size
        told = {line["key"]: line.get("preview") for line in at.results()}
        assert told == {"k1": str(preview), "k2": None}
        bought(at, projects=2, previews=1, charged_runs=2, creates=2)
        again = await at.viseme("run", manifest, "--events", "-")
        assert again.status == 0
        assert [event["replayed"] for event in again.events() if event["type"] == "succeeded"] == [True, True]
        bought(at, projects=2, previews=1, charged_runs=2, creates=2)


async def test_without_consent_nothing_is_sent_and_the_setting_is_named(tmp_path: Path) -> None:
    async with desk(tmp_path, "rask", allow_paid=False) as at:
        done = await at.viseme("run", at.write(at.dub(1)))
        assert done.status == 2
        assert "line 1:" in done.err
        assert "allow_paid = true in accounts.rask" in done.err
        assert not at.sandbox.log("rask", "project")
        bought(at, projects=0, charged_runs=0, creates=0)


async def test_a_row_goes_on_after_the_command_was_stopped(tmp_path: Path) -> None:
    async with desk(tmp_path, slow=True) as at:
        manifest = at.write(at.dub(1), at.dub(2))
        command = await at.start("run", manifest)
        await at.until(lambda: at.sandbox.bill()["rask"]["projects"] == 2)
        command.interrupt()
        assert (await command.finished()).status == 130
        at.let_go()
        done = await at.viseme("run", manifest)
        assert done.status == 0, done.err
        bought(at, projects=2, charged_runs=2, creates=2)
