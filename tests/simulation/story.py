"""A failing seed told as short as it can be: what is not needed for the law to break is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import evolve
from tests.simulation.lives import Outcome, run
from tests.simulation.scenario import Shrink, draw

__all__ = ["replay", "shortest", "tell"]

_TRIES = 200


def replay(seed: int, shrink: Shrink | None = None) -> Outcome:
    """Run a seed, or what is left of it."""
    shrink = shrink or Shrink()
    return run(draw(seed, shrink), muted=shrink.muted)


def shortest(seed: int, law: str) -> Shrink:
    """What can be left out so that the same law still breaks."""
    left, tries = Shrink(), 0

    def breaks(shrink: Shrink) -> bool:
        nonlocal tries
        tries += 1
        broken = replay(seed, shrink).broken
        return tries < _TRIES and broken is not None and _law(broken) == _law(law)

    for step in (_without_kinds, _with_fewer_jobs, _with_fewer_lives, _without_moves, _without_strikes):
        left = step(seed, left, breaks)
    return left


def _law(broken: str) -> str:
    return broken.split(":", 2)[1] if broken.startswith("Broken") else broken.partition("\n")[0]


Breaks = Callable[[Shrink], bool]


def _without_kinds(seed: int, left: Shrink, breaks: Breaks) -> Shrink:
    for kind in sorted(draw(seed).odds):
        kinds = (left.kinds if left.kinds is not None else frozenset(draw(seed).odds)) - {kind}
        if breaks(evolve(left, kinds=kinds)):
            left = evolve(left, kinds=kinds)
    return left


def _with_fewer_jobs(seed: int, left: Shrink, breaks: Breaks) -> Shrink:
    count = len(draw(seed, left).jobs)
    fewest = next((few for few in range(1, count) if breaks(evolve(left, jobs=few))), None)
    return left if fewest is None else evolve(left, jobs=fewest)


def _with_fewer_lives(seed: int, left: Shrink, breaks: Breaks) -> Shrink:
    count = len(draw(seed, left).lives)
    fewest = next((few for few in range(count) if breaks(evolve(left, lives=few))), None)
    return left if fewest is None else evolve(left, lives=fewest)


def _without_moves(seed: int, left: Shrink, breaks: Breaks) -> Shrink:
    calmer = evolve(left, moves=False)
    return calmer if breaks(calmer) else left


def _without_strikes(seed: int, left: Shrink, breaks: Breaks) -> Shrink:
    for number in range(replay(seed, left).universe.strikes, 0, -1):
        quieter = evolve(left, muted=left.muted | {number})
        if breaks(quieter):
            left = quieter
    return left


def tell(seed: int, law: str) -> Iterator[str]:
    """The story of a failing seed, line by line."""
    left = shortest(seed, law)
    outcome = replay(seed, left)
    yield f"seed {seed}: {outcome.broken}"
    yield f"python -m tests.simulation --start {seed} --seeds 1{_options(left)}"
    for job in outcome.scenario.jobs:
        yield f"  job {job.key}: {', '.join(job.route)}, {job.video}"
    for account in outcome.scenario.accounts:
        terms = outcome.scenario.terms[account.name]
        yield f"  account {account.name}: {terms.seats} seats, {dict(terms.rates)}"
    yield from (f"  {line}" for line in outcome.universe.trace)


def _options(left: Shrink) -> str:
    words = ""
    if left.kinds is not None:
        words += f" --kinds '{','.join(sorted(left.kinds))}'"
    if left.jobs is not None:
        words += f" --jobs {left.jobs}"
    if left.lives is not None:
        words += f" --lives {left.lives}"
    if not left.moves:
        words += " --no-moves"
    if left.muted:
        words += f" --mute {','.join(map(str, sorted(left.muted)))}"
    return words
