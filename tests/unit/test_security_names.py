"""Where results go: below the output folder, onto no file of the run's own, and no two into one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import Any

import anyio
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from tests.support.house import House
from tests.support.video import video
from tests.support.virtual import MemoryFiles, Served, simulated_world, virtually

import viseme
from viseme.attempts import TaskRow
from viseme.cli.eventfile import open_events
from viseme.cli.settings import Places as RunPlaces
from viseme.config import Account, Downloads
from viseme.engine.disk import RealDisk, Small
from viseme.engine.downloads.download import Download, Unfit
from viseme.engine.downloads.places import Places
from viseme.engine.intake import Intake
from viseme.errors import JobInvalid, LedgerError, VisemeError
from viseme.jobs import Job, output_name, preview_name
from viseme.results import State

JOB = Job(video="https://m.example/v.mp4", audio="https://m.example/a.wav")


# -- names that are refused before anything is paid for ------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("../x", "leaves the output folder"),
        ("a/../../x", "leaves the output folder"),
        ("a\\..\\..\\x", "leaves the output folder"),
        ("/etc/passwd", "leaves the output folder"),
        ("//host/share/x", "leaves the output folder"),
        ("\\\\host\\share\\x", "leaves the output folder"),
        ("C:\\x", "leaves the output folder"),
        ("c:x", "leaves the output folder"),
        ("a\x00.mp4", "cannot be seen"),
        ("a\n.mp4", "cannot be seen"),
        ("a\x1b[31m.mp4", "cannot be seen"),
        ("a\u202e4pm.exe", "cannot be seen"),
        ("x" * 201, "up to 800 bytes in all and 200 between slashes"),
        ("ü" * 101, "up to 800 bytes"),
        ("/".join(["d" * 99] * 9), "up to 800 bytes"),
        ("con", "Windows"),
        ("NUL.mp4", "Windows"),
        ("a/aux .x.mp4", "Windows"),
        ("COM1/x.mp4", "Windows"),
        ("lpt\u00b9.mp4", "Windows"),
        ("x.mp4.", "Windows"),
        ("a /x.mp4", "Windows"),
        ("results.jsonl", "uses itself"),
        ("Results.JSONL", "uses itself"),
        ("./results.jsonl", "uses itself"),
        ("viseme.db", "uses itself"),
        ("viseme.db-wal", "uses itself"),
        ("viseme.db-shm", "uses itself"),
        ("VISEME.DB-Journal", "uses itself"),
        ("viseme.db.lock", "uses itself"),
        ("a/x.mp4.part", "uses itself"),
        ("a/x.mp4.Part", "uses itself"),
        ("x.mp4.part.tag", "uses itself"),
    ],
)
def test_an_output_that_is_no_name_of_a_result_is_refused_and_told_why(output: str, words: str) -> None:
    with pytest.raises(JobInvalid, match=words) as caught:
        evolve(JOB, output=output)
    assert caught.value.field == "output"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "output",
    [
        "a.mp4",
        "a/b/c.mp4",
        "./a.mp4",
        "d.part/a.mp4",
        "console.mp4",
        "com10.mp4",
        "12:30.mp4",
        "viseme.db.mp4",
        "Ü.mp4",
    ],
)
def test_ordinary_outputs_are_taken(output: str) -> None:
    assert evolve(JOB, output=output).output == output


names = st.text(
    st.sampled_from("ab./\\:~ \x00\n\u202eü") | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60
)


@given(names | st.lists(st.sampled_from(["..", ".", "a", "", "con", "x.part"]), min_size=1, max_size=6).map("/".join))
def test_whatever_is_taken_stays_below_the_folder_and_fits_on_a_disk(output: str) -> None:
    try:
        job = evolve(JOB, output=output)
    except JobInvalid:
        return
    name = output_name("key", job.output)
    for made in (name, preview_name(name), name + ".part.tag"):
        path = PurePosixPath(made)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert all(0 < len(part.encode()) <= 255 for part in path.parts)
        assert made.isprintable()


def intake(known: dict[str, TaskRow] | None = None, ledger: str = "") -> Intake:
    async def find(key: str) -> TaskRow | None:
        return (known or {}).get(key)

    house = House(Account("house", api_key="key-of-the-house"))
    return Intake(simulated_world().world, {"house": house}, "house", find, ledger)


def row(key: str, state: State) -> TaskRow:
    return TaskRow(id=key, key=key, job=JOB, digest="d", account="house", state=state)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"key": "a", "output": "x.mp4"}, {"key": "b", "output": "x.mp4"}),
        ({"key": "a", "output": "x.mp4"}, {"key": "b", "output": "./X.MP4"}),
        ({"key": "a", "output": "u\u0308.mp4"}, {"key": "b", "output": "\u00fc.mp4"}),
        ({"key": "a", "output": "x.mp4"}, {"key": "x"}),
        ({"key": "a"}, {"key": "b", "output": "a.mp4"}),
        ({"key": "a"}, {"key": "b", "output": "./A.MP4"}),
        ({"key": "a", "output": "s/x.mp4"}, {"key": "b", "output": "s\\x.mp4"}),
    ],
)
@virtually
async def test_a_second_job_for_the_same_file_is_refused(first: dict[str, str], second: dict[str, str]) -> None:
    desk = intake()
    await desk.row(evolve(JOB, **first), 1)
    await desk.row(evolve(JOB, **first), 2)  # the same job again
    with pytest.raises(JobInvalid, match="is that of the job 'a' already"):
        await desk.row(evolve(JOB, **second), 1)


@pytest.mark.parametrize("state", list(State))
@virtually
async def test_the_file_of_a_job_that_has_ended_may_be_written_anew(state: State) -> None:
    desk = intake({"a": row("a", state)})
    await desk.row(evolve(JOB, key="a", output="latest.mp4"), 1)
    if state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
        await desk.row(evolve(JOB, key="b", output="latest.mp4"), 1)
    else:
        with pytest.raises(JobInvalid, match="already"):
            await desk.row(evolve(JOB, key="b", output="latest.mp4"), 1)


@pytest.mark.parametrize("state", list(State))
@virtually
async def test_the_file_that_a_job_has_by_its_key_may_be_stated_once_it_has_ended(state: State) -> None:
    desk = intake({"a b": row("a b", state)})
    await desk.row(evolve(JOB, key="a b"), 1)
    if state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
        await desk.row(evolve(JOB, key="b", output="a%20b.mp4"), 1)
    else:
        with pytest.raises(JobInvalid, match="is that of the job 'a b' already"):
            await desk.row(evolve(JOB, key="b", output="a%20b.mp4"), 1)


@pytest.mark.parametrize("output", ["books/jobs.sqlite", "books/jobs.sqlite-wal", "Books/Jobs.sqlite.lock"])
@virtually
async def test_no_result_is_written_over_the_ledger_wherever_it_lies(output: str) -> None:
    desk = intake(ledger="books/jobs.sqlite")
    with pytest.raises(JobInvalid, match="would overwrite the ledger"):
        await desk.row(evolve(JOB, key="a", output=output), 1)


@pytest.mark.parametrize(
    ("ledger", "below"),
    [(None, "viseme.db"), ("out/own.db", "own.db"), ("out/sub/own.db", "sub/own.db"), ("own.db", ""), ("outer/x", "")],
)
async def test_the_scheduler_says_where_its_ledger_lies(tmp_path: Path, ledger: str | None, below: str) -> None:
    account = viseme.Account("sync", api_key="key-of-the-house")
    place = None if ledger is None else tmp_path / ledger
    async with viseme.Scheduler([account], output=tmp_path / "out", ledger=place) as scheduler:
        if below:
            with pytest.raises(JobInvalid, match=r"overwrite the ledger|uses itself"):
                await scheduler.submit(evolve(JOB, output=below + "-wal"))
        assert scheduler._engine().intake.ledger == below


async def test_no_result_line_waits_for_ever_for_the_other_end_of_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "results.jsonl")
    account = viseme.Account("sync", api_key="key-of-the-house")
    with pytest.raises(OSError, match="it is a pipe"):
        async with viseme.Scheduler([account], output=tmp_path):
            pytest.fail("it was opened")


@pytest.mark.parametrize("ledger", ["results.jsonl", "Results.JSONL", "a.mp4.part", "sub/a.mp4.part.tag", "alias"])
async def test_no_ledger_lies_where_results_are_written(tmp_path: Path, ledger: str) -> None:
    (tmp_path / "alias").symlink_to(tmp_path / "results.jsonl")
    account = viseme.Account("sync", api_key="key-of-the-house")
    with pytest.raises(LedgerError, match="would be written over"):
        async with viseme.Scheduler([account], output=tmp_path, ledger=tmp_path / ledger):
            pass
    assert os.listdir(tmp_path) == ["alias"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([("talk.mp4", "talk.wav", "talk")], "'talk.mp4'"),
        ([("Talk.MP4", "talk.wav", "talk")], "'talk.mp4'"),
        ([("film.mp4", "sub/talk.mp4", "x", "sub/talk.mp4")], "'sub/talk.mp4'"),
        ([("a.mp4", "a.wav", "x"), ("b.mp4", "b.wav", "y", "a.mp4")], "'a.mp4'"),
        ([("talk.preview.mp4", "a.wav", "talk")], "'talk.preview.mp4'"),
        ([("talk.jpg", "a.wav", "talk")], "'talk.jpg'"),
        ([("alias.mp4", "a.wav", "talk")], "'talk.mp4'"),
        ([("talk.mp4", "talk.wav", "talk-de")], None),
    ],
)
async def test_no_result_is_written_over_what_a_job_reads(
    tmp_path: Path, names: list[tuple[str, ...]], told: str | None
) -> None:
    for name in {name for row in names for name in row[:2]}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"film") if name != "alias.mp4" else (tmp_path / name).symlink_to("talk.mp4")
    (tmp_path / "talk.mp4").write_bytes(b"film")
    account = viseme.Account("sync", api_key="key-of-the-house")
    async with viseme.Scheduler([account], output=tmp_path) as scheduler:
        desk = scheduler._engine().intake
        jobs = [
            Job(video=str(tmp_path / row[0]), audio=str(tmp_path / row[1]), key=row[2], output=(*row, None)[3])
            for row in names
        ]
        for job in jobs[:-1]:
            await desk.row(job, 1)
        if told is None:
            assert (await desk.row(jobs[-1], 1)).key == jobs[-1].key
            return
        with pytest.raises(JobInvalid, match=f"{told} would overwrite a file that a job reads"):
            await desk.row(jobs[-1], 1)


# -- on the disk ---------------------------------------------------------------------------------------------------


def places(folder: Path) -> Places:
    return Places(evolve(simulated_world().world, disk=RealDisk()), str(folder))


@virtually
async def _room(folder: Path, name: str, found: list[str]) -> None:
    async with places(folder).room(name) as place:
        place.make()
        found.append(place.path)


def room(folder: Path, name: str) -> str:
    found: list[str] = []
    _room(folder, name, found)
    return found[0]


def test_a_link_that_leads_out_is_not_followed_and_nothing_is_made_behind_it(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "way").symlink_to(elsewhere)
    (out / "up").symlink_to("..")
    (out / "sibling").mkdir()
    (tmp_path / "out-of-it").mkdir()
    (out / "near").symlink_to(tmp_path / "out-of-it")
    for name in ("way/x.mp4", "way/deep/er/x.mp4", "up/x.mp4", "near/x.mp4"):
        with pytest.raises(Unfit, match="through a link"):
            room(out, name)
    assert not list(elsewhere.iterdir())
    assert not list((tmp_path / "out-of-it").iterdir())


def test_links_inside_the_folder_and_of_the_folder_itself_are_fine(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "sub").mkdir(parents=True)
    (real / "link").symlink_to(real / "sub")
    (tmp_path / "out").symlink_to(real)
    assert room(tmp_path / "out", "link/deep/x.mp4") == str(tmp_path / "out/link/deep/x.mp4")
    assert (real / "sub/deep").is_dir()


def test_a_link_in_the_place_of_a_part_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "x.mp4.part").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        RealDisk().append(str(tmp_path / "x.mp4.part"), [b"film"], at=0)
    (refused,) = RealDisk().keep_all([Small(str(tmp_path / "x.mp4.part"), str(tmp_path / "x.mp4"), b"film")])
    assert "symbolic links" in str(refused)
    assert target.read_bytes() == b"precious"


def test_a_link_in_the_place_of_a_result_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    part, final = tmp_path / "x.mp4.part", tmp_path / "x.mp4"
    final.symlink_to(target)
    RealDisk().append(str(part), [b"film"], at=0)
    RealDisk().settle(str(part), str(final))
    assert (final.read_bytes(), final.is_symlink(), target.read_bytes()) == (b"film", False, b"precious")


@pytest.mark.parametrize("other", ["x.mp4", "X.mp4"])
@virtually
async def test_two_results_for_one_file_never_mix(other: str) -> None:
    """From an earlier run, or as a preview beside a result, they can still meet: one comes after the other."""
    films = {"https://c.example/1": video(300_000), "https://c.example/2": video(300_000)[:-4] + b"twin"}

    class Slowly(Served):
        async def chunks(self) -> AsyncIterator[bytes]:
            for piece in self.pieces:
                await anyio.sleep(1)
                yield piece

    def serve(url: str, headers: Any) -> Served:
        film = films[url]
        said = {"content-length": str(len(film)), "etag": '"1"'}
        return Slowly(200, said, [film[at : at + 50_000] for at in range(0, len(film), 50_000)])

    files = MemoryFiles()
    world = simulated_world(files=files)
    world.network.serve = serve
    rooms = Places(world.world, "out")
    inside = 0

    async def fetch(url: str, name: str) -> None:
        nonlocal inside
        async with rooms.room(name) as place:
            inside += 1
            assert inside == 1
            landed = await Download(world.world, world.network, Downloads(), url, place.path, make=place.make).run()
            assert landed.bytes == 300_000
            assert files.files[place.path] == films[url]
            inside -= 1

    async with anyio.create_task_group() as group:
        for url, name in zip(films, ("x.mp4", other), strict=True):
            group.start_soon(fetch, url, name)
    assert not rooms.held


@pytest.mark.parametrize(
    "name",
    [
        *("viseme.db", "viseme.db-wal", "viseme.db-shm", "viseme.db.lock", "results.jsonl"),
        *("a.mp4.part", "a.mp4.part.tag", "jobs.jsonl", "viseme.toml"),
    ],
)
def test_events_are_not_written_over_a_file_of_the_run(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    (tmp_path / "alias").symlink_to(tmp_path / name)
    where = RunPlaces(str(tmp_path), str(tmp_path / "viseme.db"))
    for target in (tmp_path / name, tmp_path / "alias"):
        with pytest.raises(VisemeError, match="would overwrite a file of the run itself"):
            open_events(str(target), where, [str(tmp_path / "jobs.jsonl"), str(tmp_path / "viseme.toml")])
    assert (tmp_path / name).read_bytes() == b"precious"
