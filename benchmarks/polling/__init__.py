"""How many looks it takes to find the ends of jobs, and how late they are found: in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median

from attrs import define

from benchmarks.polling.field import BASE, PACE, Clip, Done, Policy, clips, play
from benchmarks.polling.optimum import Frontier
from benchmarks.reports import Bound, Options, Report
from viseme.config import Polling
from viseme.engine.polling.cadence import Cadence
from viseme.engine.polling.watches import Watch
from viseme.providers.base import Observation, Sheet

__all__ = ["run"]

_LEARNT, _COUNTED, _FEWER = 500, 2000, 1000
_FLYING = 40
_FLEETS = (20, 100, 250, 1000)
"""Jobs in flight where looks are shared."""
_SIGMAS = (0.25, 0.5)
_TOLD = 0.25
"""The figures are of this one."""
_BOUNDS = {
    "requests_vs_fixed10": Bound(most=0.5),
    "delay_vs_fixed10": Bound(most=1.0),
    "requests_vs_optimum": Bound(most=1.1),
    "bulk_calls_vs_minimum": Bound(most=1.2),
    "bulk_delay_vs_fixed10": Bound(most=1.1),
}


@define(eq=False)
class _Exponential(Cadence):
    """What many scripts do: the second look after twice the time of the first, and so on up to a minute."""

    def first(self, watch: Watch, chance: Callable[[], float]) -> float:
        return 2.0

    def next(self, watch: Watch, age: float, seen: Observation | None, chance: float) -> float:
        return min(60.0, age)


def _fixed(seconds: float) -> Policy:
    return lambda sheet: Cadence(sheet, Polling(first=seconds, every=seconds))


def _exponential(sheet: Sheet) -> Cadence:
    return _Exponential(sheet, Polling())


def _ours(sheet: Sheet) -> Cadence:
    return Cadence(sheet, Polling())


_POLICIES: Mapping[str, Policy] = {
    "fixed 5 s": _fixed(5.0),
    "fixed 10 s": _fixed(10.0),
    "exponential": _exponential,
    "ours": _ours,
}


def run(options: Options) -> Report:
    """Compare policies one by one with the optimum, and ours by list with looking at all jobs in turn."""
    seeds, counted = (range(1), _FEWER) if options.quick else (range(3), _COUNTED)
    rows: list[Sequence[str]] = []
    samples: dict[str, list[float]] = {}
    for sigma in _SIGMAS:
        best = Frontier.of(sigma)
        rounds = [_round(sigma, seed, counted, best) for seed in seeds]
        rows += [_row(name, sigma, [one[name] for one in rounds]) for name in rounds[0]]
        lists = {flying: [_list(sigma, seed, counted, flying) for seed in seeds] for flying in _FLEETS}
        rows += [_row(f"ours, lists, {flying} in flight", sigma, found) for flying, found in lists.items()]
        if sigma == _TOLD:
            samples = _samples(rounds, lists)
    return Report(
        figures={name: median(found) for name, found in samples.items()},
        bounds=_BOUNDS,
        spread={name: (min(found), max(found)) for name, found in samples.items()},
        headings=("policy", "sigma", "requests/job", "mean delay", "vs optimum", "calls vs minimum"),
        rows=rows,
        notes=(
            f"virtual time, the engine's own hub, looker and cadence; jobs take {BASE:g} s + {PACE:g} x 5..60 s of"
            f" media in the median, lognormal about it; {_LEARNT} to learn, {counted} counted, {_FLYING} in flight",
            "optimum: dynamic programming over the times of looks, told the distribution and each job's median, at the"
            " mean delay of the policy beside it; of 'lengths unknown' it knows the lengths all the same",
            "minimum of calls: span / (2 x mean delay) x ceil(in flight / 100); the figures of lists are the worst of"
            " their fleets",
        ),
    )


@define
class _Found:
    """What came of a policy: ``optimum`` is its requests over the fewest for its delay."""

    done: Done
    optimum: float | None = None


def _round(sigma: float, seed: int, count: int, best: Frontier) -> dict[str, _Found]:
    """Every policy over the same jobs."""
    todo = clips(_LEARNT + count, sigma, seed)
    counted = todo[_LEARNT:]
    medians = [clip.median for clip in counted]

    def found(jobs: Sequence[Clip], policy: Policy, learning: int = 0, *, measured: bool = True) -> _Found:
        done = play(jobs, policy, flying=_FLYING, learning=learning, measured=measured)
        return _Found(done, done.requests / best.looks(medians, done.delay))

    others = {name: found(counted, policy) for name, policy in _POLICIES.items() if name != "ours"}
    unknown = found(todo, _ours, _LEARNT, measured=False)
    return {**others, "ours": found(todo, _ours, _LEARNT), "ours, lengths unknown": unknown}


def _list(sigma: float, seed: int, count: int, flying: int) -> _Found:
    """Ours where a request names up to 100 jobs."""
    todo = clips(_LEARNT + max(count, 4 * flying), sigma, seed)
    return _Found(play(todo, _ours, flying=flying, learning=_LEARNT, bulk=100))


def _samples(rounds: Sequence[Mapping[str, _Found]], lists: Mapping[int, Sequence[_Found]]) -> dict[str, list[float]]:
    pairs = [(one["ours"], one["fixed 10 s"]) for one in rounds]
    return {
        "requests_vs_fixed10": [ours.done.requests / fixed.done.requests for ours, fixed in pairs],
        "delay_vs_fixed10": [ours.done.delay / fixed.done.delay for ours, fixed in pairs],
        "requests_vs_optimum": [ours.optimum or 0.0 for ours, _ in pairs],
        "bulk_calls_vs_minimum": [
            max(one.done.calls for one in fleets) for fleets in zip(*lists.values(), strict=True)
        ],
        "bulk_delay_vs_fixed10": [
            max(one.done.delay for one in fleets) / fixed.done.delay
            for fleets, (_, fixed) in zip(zip(*lists.values(), strict=True), pairs, strict=True)
        ],
    }


def _row(name: str, sigma: float, found: Sequence[_Found]) -> Sequence[str]:
    known = [one.optimum for one in found if one.optimum is not None]
    return (
        name,
        f"{sigma:g}",
        f"{fmean(one.done.requests for one in found):.2f}" if known else "shared",
        f"{fmean(one.done.delay for one in found):.2f} s",
        f"{fmean(known):.2f}" if known else "",
        "" if known else f"{fmean(one.done.calls for one in found):.2f}",
    )
