"""Rask's jobs through the engine and the sandbox: every start, every trap, and what is paid for once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from tests.integration.rask_customer import FULL, PROJECTS, RaskCustomer
from tests.integration.sandbox_client import Customer
from tests.support.driver import order, start
from tests.support.sandboxes import Books, Stage, check_events, check_files, result_lines, staged, until

import viseme
from viseme import Reason
from viseme.results import State

KEY = "job-00001"


@attrs.frozen
class House:
    """A sandbox with the engine before it, and a person at Rask's own website."""

    stage: Stage
    person: RaskCustomer

    def job(self, number: int = 1, **over: Any) -> viseme.Job:
        return self.stage.job(number, "rask", **over)

    def of_project(self, id: str, number: int = 1, **options: Any) -> viseme.Job:
        return self.job(number, video=None, language=None, options={"project_id": id, **options})

    async def run(self, *jobs: viseme.Job, **account: Any) -> Books:
        """Run jobs to their ends; what the ledger holds afterwards."""
        async with (
            asyncio.timeout(100),
            self.stage.scheduler(self.stage.account("rask", **account)) as scheduler,
            scheduler.run(jobs) as run,
        ):
            await run.wait()
        books = await self.stage.books()
        check_events(books)
        return books

    def requests(self, route: str) -> list[dict[str, Any]]:
        return self.stage.sandbox.log("rask", route)

    @property
    def bill(self) -> dict[str, Any]:
        return self.stage.bill("rask")

    def bought(self, **lines: int) -> None:
        """The bill's lines; of whole lip-syncs, dubs made again and duplicates there are none unless said so."""
        wanted = {"creates": 0, "generates": 0, "duplicate_projects": 0, "duplicates": 0, **lines}
        assert {name: self.bill[name] for name in wanted} == wanted


@asynccontextmanager
async def house(folder: Path, *, speed: float = 250.0, **settings: Any) -> AsyncIterator[House]:
    async with staged(folder, speed=speed, settings={"rask": settings}) as stage, aiohttp.ClientSession() as http:
        person = RaskCustomer(Customer(stage.sandbox, stage.base, http))
        await person.new_token()
        yield House(stage, person)


def kinds(books: Books, key: str = KEY) -> list[str]:
    return [str(event.type) for event in books.events[key]]


def message(books: Books, key: str = KEY) -> str:
    failure = books.rows[key].failure
    assert failure is not None
    return failure.message


def good(books: Books, count: int = 1) -> None:
    assert books.states() == {"succeeded": count}, [row.failure for row in books.rows.values()]
    assert not books.seats


# -- starts ----------------------------------------------------------------------------------------------------------


async def test_a_link_is_dubbed_and_lip_synced_once(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        books = await home.run(home.job(source_language="en", options={"num_speakers": 1}))
        good(books)
        home.bought(projects=1, charged_runs=1, creates=1)
        (project,) = home.requests("project")
        body = project["received"]
        assert {name: body[name] for name in ("dst_lang", "src_lang", "num_speakers")} == {
            "dst_lang": "es",
            "src_lang": "en",
            "num_speakers": 1,
        }
        assert set(body) == {"video_id", "dst_lang", "src_lang", "num_speakers", "name"}
        assert home.requests("create")[0]["received"] == FULL
        assert not home.requests("face"), "the check began by itself"
        assert "preparing" in kinds(books)
        check_files(home.stage, books)


async def test_a_local_file_is_sent_dubbed_and_lip_synced(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        clip = tmp_path / "clip.mp4"
        async with home.person.base.http.get(f"{home.stage.base}/media/short.mp4") as reply:
            await asyncio.to_thread(clip.write_bytes, await reply.read())
        jobs = [home.job(n, video=str(clip), language=tongue) for n, tongue in enumerate(("es", "fr"))]
        good(await home.run(*jobs), 2)
        assert len(home.requests("upload")) == 1
        home.bought(projects=2, charged_runs=2, creates=2)


async def test_a_medium_of_the_library_is_not_sent_again(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        media = await home.person.linked()
        links = len(home.requests("link"))
        good(await home.run(home.job(video=None, options={"media_id": media})))
        assert len(home.requests("link")) == links
        home.bought(projects=1, charged_runs=1, creates=1)


async def test_a_medium_that_the_library_lost_is_handed_over_once_more(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        good(await home.run(home.job()))
        for shelves in home.stage.sandbox._vendors["rask"]._holdings.values():  # type: ignore[attr-defined]
            shelves.media.clear()
        good(await home.run(home.job(2, video=home.job().video, language="fr")), 2)
        assert len(home.requests("link")) == 2
        home.bought(projects=2, charged_runs=2, creates=2)


async def test_a_video_that_cannot_be_read_fails_and_costs_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.stage.sandbox.inject("job_failed", vendor="rask", route="link", times=9)
        books = await home.run(*(home.job(n, video=home.job().video) for n in range(1, 4)))
        assert books.states() == {"failed": 3}
        assert "could not read the video" in message(books)
        home.bought(projects=0)


async def test_an_existing_project_is_lip_synced(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        project = await home.person.ready()
        books = await home.run(home.of_project(project))
        good(books)
        assert books.rows[KEY].vendor_id == project
        home.bought(projects=1, charged_runs=1, creates=1)
        assert not home.requests("face")
        check_files(home.stage, books)


async def test_a_project_that_is_still_being_dubbed_is_waited_for(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        good(await home.run(home.of_project(await home.person.project())))
        home.bought(projects=1, charged_runs=1, creates=1)


@pytest.mark.parametrize("stale", [0.0, 8.0])
async def test_an_edited_project_is_dubbed_again_and_its_new_dub_is_lip_synced(tmp_path: Path, stale: float) -> None:
    async with house(tmp_path, stale_dub_seconds=stale, stale_lipsync_seconds=stale) as home:
        project = await home.person.ready()
        good(await home.run(home.of_project(project)))
        await edit(home, project)
        books = await home.run(home.of_project(project, 2, generate=True))
        good(books, 2)
        home.bought(projects=1, generates=1, charged_runs=1, creates=2)
        first, second = (books.rows[key].sha256 for key in (KEY, "job-00002"))
        editions = {row["sha256"]: row["inputs"]["edition"] for row in home.stage.sandbox.results("rask")}
        assert (editions[first], editions[second]) == (1, 2)


async def edit(home: House, project: str) -> None:
    """A person changes a text."""
    path = f"{PROJECTS}/{project}/transcription"
    (segment, *_) = (await home.person.good("GET", path))["segments"]
    changed = {"id": segment["id"], "dst": {"text": "Otra cosa", "lang": "de-de"}}
    await home.person.good("PATCH", f"{path}/segments", json={"segments": [changed]})


# -- previews --------------------------------------------------------------------------------------------------------


async def test_a_preview_comes_first_and_the_whole_follows(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        books = await home.run(home.job(options={"preview": "first"}))
        good(books)
        home.bought(projects=1, previews=1, charged_runs=1, creates=1)
        modes = [row["received"]["is_free_lipsync"] for row in home.requests("create")]
        assert modes == [True, False]
        (line,) = result_lines(tmp_path / "out")
        assert Path(line["preview"]).name == f"{KEY}.preview.mp4"
        assert line["file"] != line["preview"]
        assert await asyncio.to_thread(Path(line["preview"]).exists)
        served = {row["sha256"]: row["inputs"]["mode"] for row in home.stage.sandbox.results("rask")}
        assert served[line["sha256"]] == "full"


async def test_a_preview_of_an_existing_project_needs_no_consent(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        project = await home.person.ready()
        good(await home.run(home.of_project(project, preview=True), allow_paid=False))
        home.bought(projects=1, previews=1, charged_runs=0)


async def test_without_free_minutes_previews_wait_alone(tmp_path: Path) -> None:
    async with house(tmp_path, free_minutes=0) as home:
        first, second = await home.person.ready(), await home.person.ready("tiny.mp4")
        books = await home.run(home.of_project(first, 1, preview=True), home.of_project(second, 2))
        assert books.rows[KEY].parked is Reason.NO_CREDIT
        assert books.rows["job-00002"].state is State.SUCCEEDED
        assert not books.seats
        home.bought(previews=0, charged_runs=1, creates=1)


# -- consent, faces, failures ----------------------------------------------------------------------------------------


async def test_without_consent_nothing_is_created(tmp_path: Path) -> None:
    async with house(tmp_path) as home, home.stage.scheduler(home.stage.account("rask", allow_paid=False)) as scheduler:
        for job in (home.job(), home.of_project("x"), home.of_project("x", preview=True, generate=True)):
            with pytest.raises(viseme.JobInvalid, match="allow_paid"):
                await scheduler.submit(job)
        assert len(home.requests("token")) == 1, "the person's own"
        home.bought(projects=0, charged_runs=0)


@pytest.mark.parametrize("check", ["auto", "never"])
async def test_without_a_face_no_lip_sync_is_billed(tmp_path: Path, check: str) -> None:
    async with house(tmp_path, face="none", face_check=check) as home:
        books = await home.run(home.job())
        assert books.states() == {"failed": 1}
        assert "face" in message(books)
        assert len(home.requests("face")) == (check == "never")
        home.bought(projects=1, charged_runs=0)
        assert not books.seats


async def test_a_failed_face_check_names_the_project(tmp_path: Path) -> None:
    async with house(tmp_path, face="failed") as home:
        project = await home.person.project()
        books = await home.run(home.of_project(project))
        assert books.states() == {"failed": 1}
        assert project in message(books)


async def test_a_face_check_that_nobody_begins_is_begun_once_after_the_grace(tmp_path: Path) -> None:
    async with house(tmp_path, face_check="never") as home:
        good(await home.run(home.job(), face_check_grace="20s"))
        assert len(home.requests("face")) == 1


async def test_a_late_face_check_is_left_to_begin_by_itself(tmp_path: Path) -> None:
    async with house(tmp_path, face_late_seconds=15.0) as home:
        good(await home.run(home.job(), face_check_grace="120s"))
        assert not home.requests("face")


@pytest.mark.parametrize("status", ["no_words", "forbidden_link", "translation_failed"])
async def test_a_failed_dub_is_told_with_its_status(tmp_path: Path, status: str) -> None:
    async with house(tmp_path, dub_failure=status) as home:
        books = await home.run(home.job())
        assert books.states() == {"failed": 1}
        assert status in message(books)
        assert not books.seats
        home.bought(projects=1, charged_runs=0)


async def test_a_failed_lip_sync_names_the_project(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        project = await home.person.ready()
        home.stage.sandbox.inject("job_failed", vendor="rask", route="create")
        books = await home.run(home.of_project(project))
        assert books.states() == {"failed": 1}
        assert project in message(books)
        assert "support@rask.ai" in message(books)
        assert len(home.requests("create")) == 1


async def test_somebody_elses_project_fails_at_once_and_costs_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        books = await home.run(home.of_project("5b2f-not-ours"))
        assert books.states() == {"failed": 1}
        assert "5b2f-not-ours" in message(books)
        assert not home.requests("create")


# -- people at work --------------------------------------------------------------------------------------------------


async def test_an_edited_project_waits_without_a_seat_and_goes_on_once_it_is_dubbed_again(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        project = await home.person.ready()
        await edit(home, project)
        books = await home.run(home.of_project(project))
        assert books.rows[KEY].parked is Reason.NEEDS_PERSON
        assert not books.seats
        assert "edited" in message(books)
        home.bought(creates=0)
        await asyncio.sleep(0.1)  # the edit is processed
        await home.person.good("POST", f"{PROJECTS}/{project}/generate")
        good(await home.run(home.of_project(project)))
        home.bought(generates=1, charged_runs=1, creates=1)
        (done,) = home.stage.sandbox.results("rask")
        assert done["inputs"]["edition"] == 2


async def test_rows_of_one_project_run_one_after_the_other_and_pay_once(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        project = await home.person.ready()
        books = await home.run(
            home.of_project(project, 1), home.of_project(project, 2), home.of_project(project, 3, preview=True)
        )
        good(books, 3)
        home.bought(charged_runs=1, previews=1, creates=1)
        assert books.rows[KEY].sha256 == books.rows["job-00002"].sha256
        assert books.rows[KEY].sha256 != books.rows["job-00003"].sha256


# -- stale results ---------------------------------------------------------------------------------------------------


async def test_an_old_result_that_stays_is_unconfirmed_and_the_next_run_looks_again(tmp_path: Path) -> None:
    async with house(tmp_path, stale_lipsync_seconds=400.0) as home:
        project = await home.person.ready()
        assert (await home.person.run(project, {**FULL, "is_free_lipsync": True}))[0] == 200
        await home.person.synced(project)
        books = await home.run(home.of_project(project))
        assert books.rows[KEY].parked is Reason.UNCONFIRMED
        assert len(home.requests("create")) == 2, "the person's, and ours"
        home.stage.sandbox.configure("rask", stale_lipsync_seconds=0.0)
        await until(lambda: home.stage.clock.now() > 400 + max(row["at"] for row in home.requests("create")))
        good(await home.run(home.of_project(project)))
        assert len(home.requests("create")) == 2
        check_files_of(home, await home.stage.books(), "full")


def check_files_of(home: House, books: Books, mode: str) -> None:
    served = {row["sha256"]: row["inputs"]["mode"] for row in home.stage.sandbox.results("rask")}
    assert served[books.rows[KEY].sha256] == mode


async def test_progress_tells_the_place_in_the_queue_and_then_the_share(tmp_path: Path) -> None:
    async with house(tmp_path, queue_seconds=1000.0, fixed_seconds=1000.0) as home:
        project = await home.person.ready()
        account = home.stage.account("rask", polling={"first": "2s", "every": "2s"})
        job = home.of_project(project)
        shown: list[dict[str, Any]] = []
        waits = {True: 1000.0, False: 1100.0}  # in the queue and behind it; each is over once a look has shown it
        async with asyncio.timeout(100), home.stage.scheduler(account) as scheduler, scheduler.run([job]) as run:
            async for event in run:
                if event.type == "progress":
                    shown.append(dict(event.data))
                    if event.data["status"] == "started":
                        home.stage.clock.skip(waits.pop(event.data["queue_position"] is not None, 0.0))
        places = [data["queue_position"] for data in shown if data["status"] == "started"]
        assert {place for place in places if place is not None} <= {0, 1, 2, 3}
        assert places[0] is not None
        assert places[-1] is None
        shares = [data["progress"] for data in shown if data["progress"] is not None]
        assert shares == sorted(shares)


# -- lost replies ----------------------------------------------------------------------------------------------------

LOST = ("lost_reply", "server_error_booked", "html", "truncated", "reset_before", "server_error")


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_project_is_found_by_its_name_or_made_once_more(tmp_path: Path, fault: str) -> None:
    async with house(tmp_path) as home:
        home.stage.sandbox.inject(fault, vendor="rask", route="project")
        books = await home.run(home.job())
        good(books)
        home.bought(projects=1, charged_runs=1, creates=1)
        assert "fate_unknown" in kinds(books) or fault == "truncated"


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_lip_sync_is_found_by_looking_or_ordered_once_more(tmp_path: Path, fault: str) -> None:
    async with house(tmp_path) as home:
        project = await home.person.ready()
        home.stage.sandbox.inject(fault, vendor="rask", route="create")
        good(await home.run(home.of_project(project), stale_grace="20s"))
        home.bought(projects=1, charged_runs=1, creates=1)


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_new_dub_is_found_by_looking_or_ordered_once_more(tmp_path: Path, fault: str) -> None:
    async with house(tmp_path) as home:
        project = await home.person.ready()
        await edit(home, project)
        home.stage.sandbox.inject(fault, vendor="rask", route="generate")
        good(await home.run(home.of_project(project, generate=True), stale_grace="20s"))
        home.bought(projects=1, generates=1, charged_runs=1, creates=1)


# -- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", ["basic", "post"])
async def test_one_token_serves_all_and_is_renewed_before_its_end(tmp_path: Path, auth: str) -> None:
    async with house(tmp_path, speed=20.0, token_seconds=60.0) as home:  # a tenth of its life is 0.3 s
        good(await home.run(*(home.job(n) for n in range(4)), client_auth=auth), 4)
        tokens = len(home.requests("token")) - 1
        assert 2 <= tokens <= 8
        assert not [row for row in home.stage.sandbox.log("rask") if row["status"] == 401]


async def test_a_token_that_is_revoked_midway_is_renewed_and_the_call_repeated(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for route in ("project", "dub", "create", "poll"):
            home.stage.sandbox.inject("revoked", vendor="rask", route=route)
        good(await home.run(home.job()))
        home.bought(projects=1, charged_runs=1, creates=1)
        assert len([row for row in home.stage.sandbox.log("rask") if row["status"] == 401]) == 4


async def test_a_wrong_secret_costs_one_request_and_its_jobs_go_on_with_the_right_one(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        jobs = [home.job(n) for n in range(5)]
        asked = len(home.stage.sandbox.log("rask"))
        books = await home.run(*jobs, client_secret="no-such-secret")
        assert books.states() == {Reason.NEEDS_PERSON: 5}
        assert len(home.stage.sandbox.log("rask")) == asked + 1
        assert all("client_secret" in line["error"]["message"] for line in result_lines(tmp_path / "out"))
        assert "no-such-secret" not in (tmp_path / "out" / "results.jsonl").read_text()
        good(await home.run(*jobs), 5)


async def test_without_minutes_nothing_is_made_and_a_later_run_goes_on(tmp_path: Path) -> None:
    async with house(tmp_path, credits=0) as home:
        books = await home.run(home.job())
        assert books.rows[KEY].parked is Reason.NO_CREDIT
        home.bought(projects=0, charged_runs=0)
        home.stage.sandbox.configure("rask", credits=1000.0)
        good(await home.run(home.job()))
        home.bought(projects=1, charged_runs=1, creates=1)


# -- stops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["link", "project", "dub", "poll", "create"])
async def test_a_run_that_is_stopped_anywhere_is_gone_on_with(tmp_path: Path, route: str) -> None:
    async with house(tmp_path) as home:
        account = home.stage.account("rask")
        async with asyncio.timeout(100), home.stage.scheduler(account) as scheduler, scheduler.run([home.job()]):
            await until(lambda: home.requests(route))
        books = await home.stage.books()
        assert books.rows[KEY].parked is Reason.STOPPED
        good(await home.run(home.job()))
        home.bought(projects=1, charged_runs=1, creates=1)


@pytest.mark.parametrize("route", ["link", "project", "dub", "face", "create", "poll"])
async def test_a_process_that_is_killed_anywhere_pays_once(tmp_path: Path, route: str) -> None:
    async with house(tmp_path, face_check="never") as home:
        account = {"provider": "rask", "stale_grace": "20s"}
        begun = await start(order(home.stage, 3, [account]))
        try:
            await until(lambda: home.requests(route))
        finally:
            begun.kill()
            await begun.communicate()
        good(await home.run(*(home.job(n) for n in range(3)), stale_grace="20s"), 3)
        home.bought(projects=3, charged_runs=3, creates=3)
