"""What a seed draws: accounts and their limits, jobs, troubles, and what the customer does in each life."""

from __future__ import annotations

from random import Random
from typing import Any

from attrs import evolve, frozen
from tests.simulation.vendors import VENDORS
from tests.simulation.vendors.base import Terms

from viseme import Account, Job

__all__ = ["Life", "Move", "Scenario", "Shrink", "draw"]

_KINDS = {
    "kill": (0.0, 0.001, 0.005, 0.02),
    "power cut": (0.0, 0.0, 0.001, 0.005),
    "no connection": (0.0, 0.02, 0.2),
    "lost request": (0.0, 0.02, 0.2),
    "lost reply": (0.0, 0.02, 0.2),
    "storm": (0.0, 0.02, 0.2),
    "storm after booking": (0.0, 0.02, 0.1),
    "late": (0.0, 0.1, 0.5),
    "doubled": (0.0, 0.1),
    "broken body": (0.0, 0.1, 0.5),
    "short body": (0.0, 0.1, 0.3),
    "cut again": (0.0, 0.1, 0.3),
    "no ranges": (0.0, 0.1, 0.5),
    "stale look": (0.0, 0.1, 0.5),
    "not seen yet": (0.0, 0.3),
    "conflict": (0.0, 0.3),
    "outcome unknown": (0.0, 0.1),
    "lookup is late": (0.0, 0.5),
    "failed job": (0.0, 0.1, 0.3),
    "bad medium": (0.0, 0.05),
    "no face": (0.0, 0.1),
    "stale done": (0.0, 0.5),
    "token revoked": (0.0, 0.02),
    "disk": (0.0, 0.0, 0.01, 0.1),
    "ledger": (0.0, 0.0, 0.01, 0.05),
    "slow ledger": (0.0, 0.1),
    "clock jump": (0.0, 0.0, 0.02),
    "vendor down": (0.0, 0.0, 0.02),
    "revoked key": (0.0, 0.0, 0.0, 0.01),
}
"""The troubles, and how likely each may be in a world."""
_RARE = 0.5
"""So many worlds in one know only some of the troubles."""


@frozen(kw_only=True)
class Move:
    """What the customer does at a moment of a life.

    Attributes:
        at: seconds after the life began.
        verb: ``cancel``, ``order cancel``, ``order resubmit``, ``order abandon``, ``stop``, ``hurry``, ``leave``,
            ``abort`` (the task that runs it all is cancelled), ``narrow`` (fewer seats).
        key: of the job that it is about.
    """

    at: float
    verb: str
    key: str | None = None


@frozen(kw_only=True)
class Life:
    """One life of our process.

    Attributes:
        kill_at: the step before which it is killed, None where only troubles may kill it.
        gap: seconds before the next life.
        reader: how events are read: ``none``, ``quick``, ``slow``, ``tasks`` (each task by itself).
        resumes: whether all that is open goes on as one batch: ``no``, ``first``, ``beside`` the jobs, or the same and
            ``left`` in the middle.
    """

    kill_at: int | None = None
    moves: tuple[Move, ...] = ()
    gap: float = 60.0
    reader: str = "quick"
    retry_failed: bool = False
    redo: tuple[str, ...] = ()
    resumes: str = "no"


@frozen(kw_only=True)
class Shrink:
    """What of a scenario is left out, to tell its story shorter."""

    jobs: int | None = None
    kinds: frozenset[str] | None = None
    muted: frozenset[int] = frozenset()
    lives: int | None = None
    moves: bool = True


@frozen(kw_only=True)
class Scenario:
    """A world to run.

    Attributes:
        terms: what each vendor allows, by its name.
        files: local media, by path.
    """

    seed: int
    accounts: tuple[Account, ...]
    terms: dict[str, Terms]
    jobs: tuple[Job, ...]
    odds: dict[str, float]
    lives: tuple[Life, ...]
    files: dict[str, bytes]


def draw(seed: int, shrink: Shrink | None = None) -> Scenario:
    """The scenario of a seed."""
    shrink = shrink or Shrink()
    chance = Random(f"{seed}/scenario")
    names = chance.sample(sorted(VENDORS), min(len(VENDORS), chance.choice((1, 1, 2, 4))))
    terms = {name: VENDORS[name].draw(Random(f"{seed}/terms/{name}")) for name in names}
    accounts = tuple(_account(name, terms[name], Random(f"{seed}/account/{name}")) for name in names)
    files: dict[str, bytes] = {}
    jobs = _jobs(Random(f"{seed}/jobs"), names, files)
    odds = _odds(Random(f"{seed}/odds"))
    lives = _lives(Random(f"{seed}/lives"), [job.key or "" for job in jobs])
    resumes = Random(f"{seed}/resumes")
    lives = tuple(evolve(life, resumes=resumes.choice(("no", "no", "no", "first", "beside", "left"))) for life in lives)
    if shrink.kinds is not None:
        odds = {kind: rate for kind, rate in odds.items() if kind in shrink.kinds}
    if shrink.jobs is not None:
        jobs = jobs[: shrink.jobs]
    if shrink.lives is not None:
        lives = lives[: shrink.lives]
    if not shrink.moves:
        lives = tuple(
            Life(kill_at=life.kill_at, gap=life.gap, reader=life.reader, resumes=life.resumes) for life in lives
        )
    return Scenario(seed=seed, accounts=accounts, terms=terms, jobs=tuple(jobs), odds=odds, lives=lives, files=files)


def _odds(chance: Random) -> dict[str, float]:
    every = chance.random() < _RARE
    return {
        kind: rate
        for kind, rates in _KINDS.items()
        if (rate := chance.choice(rates)) and (every or chance.random() < 0.3)
    }


def _account(name: str, terms: Terms, chance: Random) -> Account:
    vendor = VENDORS[name]
    more: dict[str, Any] = {
        "base_url": f"https://{name}.sim",
        "concurrency": terms.seats,
        "rates": {of: _rate(count, seconds) for of, (count, seconds) in terms.rates.items()},
        "polling": {
            "first": f"{chance.choice((1, 5, 20))}s",
            "every": f"{chance.choice((2, 5, 15))}s",
            "bulk": chance.random() < 0.7,
            **({"deadline": f"{chance.choice((30, 120, 600))}s"} if chance.random() < 0.2 else {}),
        },
        "seat_ttl": chance.choice(("1h", "2h")),
        "attempts": chance.choice((1, 1, 1, 2)),
        "on_unknown_fate": chance.choice(("ask", "ask", "ask", "fail")),
        **vendor.settings(chance),
    }
    return Account(name, **more)


def _rate(count: int, seconds: float) -> str:
    """A window as the configuration writes it: per second, minute or hour."""
    return {1.0: f"{count}/s", 60.0: f"{count}/min", 3600.0: f"{count}/h"}[seconds]


def _jobs(chance: Random, names: list[str], files: dict[str, bytes]) -> list[Job]:
    count = chance.choice((1, 2, 4, 8, 12))
    jobs: list[Job] = []
    for number in range(count):
        name = names[number % len(names)]
        jobs.append(_job(chance, number, name, names, files))
        if chance.random() < 0.06:
            jobs.append(_twin(jobs[-1], number))
    return jobs


def _job(chance: Random, number: int, name: str, names: list[str], files: dict[str, bytes]) -> Job:
    video = f"https://media.sim/film-{number}.mp4"
    if VENDORS[name].takes_files and chance.random() < 0.15:
        video = f"/media/film-{number}.mp4"
        files[video] = Random(video).randbytes(100 + number)
    others = [other for other in names if other != name and VENDORS[other].speech == VENDORS[name].speech]
    route = (name, others[0]) if others and not video.startswith("/") and chance.random() < 0.2 else name
    speech = (
        {"audio": f"https://media.sim/voice-{number}.wav"} if VENDORS[name].speech == "audio" else {"language": "es"}
    )
    return Job(
        video=video,
        account=route,
        key=f"job-{number:02d}",
        priority=chance.choice((0, 0, 0, 5)),
        options=VENDORS[name].options(chance) if isinstance(route, str) else {},
        **speech,
    )


def _twin(job: Job, number: int) -> Job:
    """Another job with the same inputs."""
    return evolve(job, key=f"job-{number:02d}-twin")


def _lives(chance: Random, keys: list[str]) -> tuple[Life, ...]:
    return tuple(_life(chance, keys) for _ in range(chance.choice((1, 1, 2, 3))))


def _life(chance: Random, keys: list[str]) -> Life:
    moves = tuple(_move(chance, keys) for _ in range(chance.choice((0, 0, 0, 1, 3))))
    return Life(
        kill_at=chance.choice((None, None, chance.randint(1, 300), chance.randint(1, 6000))),
        moves=tuple(sorted(moves, key=lambda move: move.at)),
        gap=chance.choice((0.5, 5.0, 60.0, 300.0, 7200.0)),
        reader=chance.choice(("none", "quick", "slow", "tasks")),
        retry_failed=chance.random() < 0.1,
        redo=(chance.choice(keys),) if chance.random() < 0.05 else (),
    )


_VERBS = ("cancel", "order cancel", "order resubmit", "order abandon", "stop", "hurry", "leave", "abort", "narrow")


def _move(chance: Random, keys: list[str]) -> Move:
    return Move(
        at=chance.choice((0.0, chance.uniform(0, 10), chance.uniform(0, 200))),
        verb=chance.choice(_VERBS),
        key=chance.choice(keys),
    )
