"""`viseme demo` as a process of its own: forty jobs over four vendors, and all that it says of them is true."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.integration.sandbox_client import Film
from tests.support.commands import Command, Done
from tests.support.sandboxes import Books, check_events, read_books

from viseme import Job
from viseme.sandbox.samples import voice_hz

JOBS = {"sync": 15, "jogg": 9, "aimlapi": 9, "rask": 7}
WATCHED = """
import json
from viseme.cli import demo
made, kept = demo.sandbox_class(), []
def watched(**options):
    kept.append(made(**options))
    return kept[0]
demo.sandbox_class = lambda: watched
status = demo.demo("films", quiet=False)
with open("seen.json", "w") as file:
    json.dump({"bill": kept[0].bill(), "log": kept[0].log()}, file)
raise SystemExit(status)
"""
"""The demo, with what its sandbox saw written down."""


@attrs.frozen
class Demo:
    """A demo that was run."""

    done: Done
    folder: Path
    seen: dict[str, Any]
    books: Books

    def requests(self, vendor: str, route: str) -> list[dict[str, Any]]:
        return [row for row in self.seen["log"] if (row["vendor"], row["route"]) == (vendor, route)]

    def jobs(self, vendor: str) -> list[Job]:
        return [row.job for row in self.books.rows.values() if row.account == vendor]

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "results.jsonl").read_text().splitlines()]

    def columns(self, account: str) -> list[list[str]]:
        """What the tables say of an account."""
        return [line.split() for line in self.done.out.splitlines() if line.startswith(f"{account} ")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")

    async def run() -> Demo:
        done = await (await Command.run([sys.executable, "-c", WATCHED], folder=folder)).finished()
        assert done.status == 0, done.out + done.err
        seen = json.loads((folder / "seen.json").read_text())
        return Demo(done, folder / "films", seen, await read_books(folder / "films"))

    return asyncio.run(run())


def test_it_runs_forty_jobs_over_four_vendors_and_the_bill_adds_up(demo: Demo) -> None:
    assert "played by the bundled sandbox" in demo.done.err
    assert "running 40 jobs" in demo.done.err
    assert "created 40 = paid 40 = delivered 40: each of the 40 jobs once" in demo.done.out
    assert Counter((line["account"], line["state"]) for line in demo.results()) == {
        (account, "succeeded"): number for account, number in JOBS.items()
    }
    for account, number in JOBS.items():
        bill = demo.seen["bill"][account]
        assert (bill["creates"], bill["duplicates"], bill["open"], bill["throttled"]) == (number, 0, 0, 0), account
        work, paid = demo.columns(account)
        assert work[1:3] == [str(number)] * 2
        assert paid[1:5] == [str(number)] * 3 + ["0"]
    check_events(demo.books)


def test_rask_dubs_and_lip_syncs_once_each_and_its_preview_lands_too(demo: Demo) -> None:
    bill = demo.seen["bill"]["rask"]
    wanted = {"projects": 7, "charged_runs": 7, "previews": 1, "duplicate_projects": 0, "generates": 0, "credits": 14.0}
    assert {name: bill[name] for name in wanted} == wanted
    assert "rask: 7 dubs (7 minutes), 7 lip-syncs (7 minutes), 1 free preview" in demo.done.out
    assert [path.name for path in demo.folder.glob("*.preview.mp4")] == ["rask-01.preview.mp4"]
    assert Film.open((demo.folder / "rask-01.preview.mp4").read_bytes()).seconds == pytest.approx(3.0, abs=0.1)
    assert {line["key"]: line["preview"] for line in demo.results() if line.get("preview")} == {
        "rask-01": str(demo.folder / "rask-01.preview.mp4")
    }
    sources = Counter(row["received"]["link"].rpartition("/")[2] for row in demo.requests("rask", "link"))
    assert sources == {"sample.mp4": 1, "film.mp4": 1, "tall.mp4": 1}, "one video, several languages: linked once"


def test_jobs_from_local_files_send_each_file_once_to_each_vendor(demo: Demo) -> None:
    files = {name: (demo.folder / "inputs" / name).stat().st_size for name in ("talk.mp4", "talk.wav")}
    sent = {
        vendor: sorted(row["uploaded"] for row in demo.seen["log"] if row["vendor"] == vendor and row["uploaded"])
        for vendor in JOBS
    }
    video, both = [files["talk.mp4"]], sorted(files.values())
    assert sent == {"sync": both, "jogg": both, "rask": video, "aimlapi": video}
    for vendor, files_sent in sent.items():
        assert demo.columns(vendor)[0][5] == str(len(files_sent))
        local = [job for job in demo.jobs(vendor) if not all(source.startswith("http") for source in job.sources)]
        assert len(local) == (2 if vendor in ("sync", "rask") else 1), vendor
    assert "6 jobs name local files; each vendor got each file once" in demo.done.out


def test_every_film_lasts_as_long_as_its_job_says_and_speaks_with_the_right_voice(demo: Demo) -> None:
    assert len(list(demo.folder.glob("*.mp4"))) == 41
    for key, row in demo.books.rows.items():
        film, seconds = Film.open((demo.folder / f"{key}.mp4").read_bytes()), row.job.metadata["seconds"]
        assert film.seconds == pytest.approx(seconds, abs=0.1), key
        voice, spoken = speaker(row.job), min(seconds, length(row.job))
        assert film.pitch(0.1, spoken - 0.1) == pytest.approx(voice_hz(voice), abs=12), key


def test_nothing_cost_more_than_was_estimated(demo: Demo) -> None:
    figures = {account: re.findall(r"\d+\.\d\d", " ".join(demo.columns(account)[1])) for account in JOBS}
    for account in ("sync", "jogg", "aimlapi"):
        cost, most = map(float, figures[account])
        assert 0 < cost <= most
    assert figures["rask"] == ["14.00", "12.00"], "one job's length is known to the vendor only"
    assert "at most 12.00 minutes for 6 of 7 jobs" in demo.done.out


async def test_a_second_demo_leaves_the_first_alone(demo: Demo) -> None:
    before = {path.name: path.read_bytes() for path in demo.folder.glob("*.mp4")}
    done = await (await Command.start("demo", "--out", "films", folder=demo.folder.parent)).finished()
    assert done.status == 0, done.out + done.err
    assert "created 40 = paid 40 = delivered 40: each of the 40 jobs once" in done.out
    assert len(list((demo.folder / "2").glob("*.mp4"))) == 41
    assert {path.name: path.read_bytes() for path in demo.folder.glob("*.mp4")} == before


def speaker(job: Job) -> int:
    """The voice of a job's speech: its number at the sandbox."""
    if job.text:
        return sum(str(job.voice).encode())
    if job.language:
        return sum(job.language.encode())
    found = re.search(r"audio-[\d.]+-(\d+)\.wav$", str(job.audio))
    return int(found[1]) if found else 1


def length(job: Job) -> float:
    """How long the speech is."""
    found = re.search(r"audio-([\d.]+)-\d+\.wav$", str(job.audio))
    return float(found[1]) if found else 60.0
