"""When to look at a job: the user's word, else the vendor's, else what was learnt, else the vendor's usual pace."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from attrs import define, field

from viseme.attempts import TaskRow
from viseme.config import Polling
from viseme.engine.polling.durations import Durations, Forecast
from viseme.engine.polling.watches import ModelStage, Watch
from viseme.providers.base import Observation, Sheet

__all__ = ["Cadence"]

_LATE = 1.25
"""A batch may take so many times as long as its vendor wants it to."""
_SOON = 0.5
"""The shortest time between two looks that a vendor's hint can bring about, seconds."""
_SLOW = 300.0
"""How often a job is looked at that nobody waits for, seconds."""
_AIM = 0.47
"""For how long an end may lie unseen on average, in times between two looks: a little less than looking at the vendor's
usual pace comes to."""
_NEAR = (0.1, 0.98)
"""The end of a job is near while the chance that it has come is between these."""


@define(eq=False, repr=False)
class Cadence:
    """The looks at one account's jobs. What the user gives is honoured as it stands.

    Where the user says nothing, ends are found no later on average than by looking every ``sheet.every`` seconds, with
    as few looks as that takes: the first when some jobs will have ended, most around the median, ever fewer beyond.

    Attributes:
        silence: for so many seconds at most a job is left alone, however sure its end is to come later.
    """

    sheet: Sheet
    polling: Polling
    silence: float = inf
    _learnt: dict[ModelStage, Durations] = field(factory=dict[ModelStage, Durations])

    # -- learning ----------------------------------------------------------------------------------------------------

    def remember(self, row: TaskRow) -> None:
        """A task of an earlier run: how long its stages took."""
        for stage, seconds in row.lasted.items():
            self._of((self.model(row), stage)).remember(seconds, row.seconds)

    def model(self, row: TaskRow) -> str | None:
        """The model that does a task."""
        return (row.intent.model if row.intent else row.job.model) or next(iter(self.sheet.models), None)

    def learn(self, watch: Watch, alive: float | None, now: float) -> float | None:
        """The end of a job's stage was seen; returns how many seconds it counts as having taken, None if nobody knows.

        Args:
            alive: when it was last seen at work, None if it never was; ``now`` when its end was seen; UTC seconds.
        """
        if watch.batch or watch.background or (watch.late and alive is None) or now < watch.began:
            return None
        by = max(0.0, now - watch.began)
        after = None if alive is None else max(0.0, min(alive - watch.began, by))
        return self._of(watch.kind).learn(after, by, watch.media)

    def _of(self, kind: ModelStage) -> Durations:
        known = self._learnt.get(kind)
        if known is None:
            known = self._learnt[kind] = Durations(_AIM * self.sheet.every)
        return known

    def _forecast(self, watch: Watch) -> Forecast | None:
        known = self._learnt.get(watch.kind) if self.sheet.sparing and not watch.batch else None
        return None if known is None else known.forecast(watch.media)

    # -- deadlines ---------------------------------------------------------------------------------------------------

    def deadline(self, batch: bool) -> float:
        """Seconds that a task may take in all."""
        if self.polling.deadline is not None:
            return self.polling.deadline
        return _LATE * self.sheet.batch.turnaround if batch and self.sheet.batch is not None else self.sheet.deadline

    # -- looking -----------------------------------------------------------------------------------------------------

    def first(self, watch: Watch, chance: Callable[[], float]) -> float:
        """Seconds from a create to the first look.

        Args:
            chance: gives random numbers in [0, 1): some jobs find out whether what was learnt still holds.
        """
        if self.polling.first is not None:
            return self.polling.first
        forecast = None if self.polling.every is not None else self._forecast(watch)
        if forecast is None:
            return self.sheet.first
        first = forecast.wait(0.0, watch.media)
        watch.firm = False
        watch.wary = self._of(watch.kind).doubted(forecast, first, watch.media, chance())
        if watch.wary:
            first = min(first / 2, self.sheet.first)
        return min(max(self._least(), first), self._patience(watch, 0.0))

    def next(self, watch: Watch, age: float, seen: Observation | None, chance: float) -> float:
        """Seconds to the next look.

        Args:
            age: seconds since the create; below 0 where the clock was set back since, and nobody knows.
            seen: what the last look showed, None if it failed.
            chance: a random number in [0, 1), so that jobs made together are not looked at together for ever.
        """
        watch.firm = True
        if watch.background:
            return max(_SLOW, self.polling.every or 0.0)
        if self.polling.every is not None:
            return self.polling.every
        if seen is not None and seen.hint is not None:
            return min(max(_SOON, seen.hint), _SLOW)
        forecast = None if age < 0 or seen is None or seen.verdict is not None else self._forecast(watch)
        if forecast is None:
            slower = 1.0 if age < 120 else 2.0 if age < 600 else 3.0
            return self.sheet.every * slower * (1 + chance / 10)
        watch.firm = False
        learnt = forecast.wait(age, watch.media) * (0.95 + chance / 10)
        return max(self._least(), min(learnt, age if watch.wary else inf, self._patience(watch, age)))

    def _least(self) -> float:
        """The shortest time between two looks that is learnt, seconds."""
        return self.sheet.every / 2

    def _patience(self, watch: Watch, age: float) -> float:
        """Seconds for which a job may be left alone, without a deadline that passes unnoticed or a seat given up."""
        queue, run, now = self.polling.queue_deadline, self.polling.run_deadline, watch.began + age
        last = watch.since + self.deadline(watch.batch)
        if watch.running_since is None:
            last = min(last, watch.since + min(inf if queue is None else queue, inf if run is None else run))
        elif run is not None:
            last = min(last, max(watch.running_since, watch.since) + run)
        return min(self.silence, max(0.0, last - now))

    def hold(self, watch: Watch, age: float) -> float:
        """How long the vendor may hold a single look back: only when the end is likely to be near."""
        forecast = self._forecast(watch) if self.sheet.hold and self.polling.every is None else None
        if forecast is None:
            return 0.0
        least, most = _NEAR
        return self.sheet.hold if least <= forecast.chance(age, watch.media) <= most else 0.0

    # -- lists -------------------------------------------------------------------------------------------------------

    def beat(self) -> float:
        """Seconds from one round of list requests to the next; 0 where the user says when to look."""
        return self.sheet.every if self.polling.first is None and self.polling.every is None else 0.0

    def tolerance(self) -> float:
        """How early a look may be taken so as to share a request with another."""
        every = self.polling.every
        return self.sheet.every * 0.25 if every is None else min(0.5, every * 0.1)
