"""Looks at waiting tasks, one by one or many in one request, and moves on those whose end was seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from math import inf, nextafter
from typing import Any

from anyio import create_task_group
from attrs import define, field

from viseme.attempts import Handle
from viseme.engine.admission.desk import Desk
from viseme.engine.lifecycle.book import Book, UnknownTask
from viseme.engine.lifecycle.signals import Observed, Parks
from viseme.engine.polling.cadence import Cadence
from viseme.engine.polling.hub import Hub
from viseme.engine.polling.watches import Watch
from viseme.engine.world import World
from viseme.evolving import evolve
from viseme.failures import Failure, Kind
from viseme.providers.base import Observation, Refused, Seen, Verdict
from viseme.results import Reason, State

__all__ = ["Looker"]

_YOUNG = 60.0
"""A job that the vendor does not know counts as gone only so long after its create, and after the first of two looks or
more that missed it, seconds."""
_ODD = 60.0
"""A job that is called done without a link to its result is given up for this run after so many seconds of that."""
_HELD = 1.0
"""A look that the vendor held for so many seconds was answered when the job ended, not before."""
_QUEUED, _SUCCEEDED, _FAILED = Seen.QUEUED, Seen.SUCCEEDED, Seen.FAILED
"""Under names of their own: before Python 3.12 an enum is slow to tell its members (0.12 against 0.01 µs)."""
_NO_LIST = frozenset({Kind.INVALID, Kind.NOT_FOUND})
_HASTE = frozenset({Kind.RATE_LIMITED, Kind.LIMITED})
_PROMPT = 5.0
"""A list that fails is halved only where its answer came within so many seconds."""
_NEVER, _NO_LONGER = 3, 12
"""A vendor has no lists if it refuses so many of them, one after the other: the first and both its halves, or, once it
has answered one, more."""
_LONGEST_ALONE = 6
"""A job that lists do not show is looked at alone for up to so many doublings of looks before a list names it again."""


@lru_cache(maxsize=1024)
def _told(*shown: object) -> tuple[object, ...]:
    """What is told of a task's progress, which most waiting tasks have in common, as one object."""
    return shown


@define(eq=False, repr=False)
class Looker:
    """Carries out the hub's looks for one account.

    Attributes:
        notice: called with a sentence that the user should read.
        keep_waiting: leave tasks waiting while their account is in trouble, instead of parking them.
    """

    world: World
    book: Book
    desk: Desk
    cadence: Cadence
    notice: Callable[[str], None]
    keep_waiting: bool = False
    hub: Hub = field(init=False)
    _listed_once: bool = False
    _unanswered: int = 0
    """Lists, one after the other, that were refused while single looks were not."""

    def look(self, batch: list[Watch]) -> Awaitable[None]:
        """Look at a batch; each of it is due again afterwards, or let go."""
        return self._many(batch) if self.hub.at_most > 1 and len(batch) > 1 else self._one(batch[0])

    # -- asking ----------------------------------------------------------------------------------------------------

    async def _one(self, watch: Watch) -> None:
        if watch.alone:
            watch.alone -= 1
        sent = self.world.now()
        hold = self.cadence.hold(watch, sent - watch.began)
        if hold and not self.hub.take_hold():
            hold = 0.0
        flow = self.desk.provider.poll(watch.handle, hold, sent)
        try:
            seen = await self.desk.courier.run(flow, tries=1)
        except Refused as refusal:
            await self._missed(watch, refusal.verdict)
            return
        finally:
            if hold:
                self.hub.end_hold()
        if hold and (now := self.world.now()) - sent > _HELD:
            watch.seen, watch.heard = True, now  # it was at work until the vendor answered
        await self._saw(watch, seen, sent)

    async def _many(self, batch: list[Watch], *, halves: bool = True) -> None:
        sent = self.world.now()
        flow = self.desk.provider.poll_many([watch.handle for watch in batch])
        try:
            seen = await self.desk.courier.run(flow, tries=1)
        except Refused as refusal:
            prompt = self.world.now() - sent < _PROMPT and refusal.verdict.kind not in _HASTE
            await self._list_failed(batch, refusal.verdict, halves, prompt)
            return
        await self._listed(batch, seen, sent)

    async def _listed(self, batch: list[Watch], seen: Mapping[str, Observation], sent: float) -> None:
        """Ends are written together, so that no seat waits until those before it are on disk."""
        self._listed_once, self._unanswered = True, 0
        found = [(watch, seen.get(watch.vendor_id)) for watch in batch]
        ended = [(watch, one) for watch, one in found if one is not None and one.seen.terminal]
        alive = [(watch, one) for watch, one in found if one is not None and not one.seen.terminal]
        if len(ended) + len(alive) < len(found):
            self._leave_out([watch for watch, one in found if one is None])
        if ended:
            async with create_task_group() as group:
                for watch, observation in ended:
                    group.start_soon(self._saw, watch, observation, sent)
                await self._all_saw(alive, sent)
        else:
            await self._all_saw(alive, sent)
        for watch, _ in alive:
            watch.unlisted = 0

    def _leave_out(self, watches: Sequence[Watch], *, spread: bool = True) -> None:
        """Look at each by itself, at once and for a while: longer each time that a list does not show it.

        Where they are ``spread``, not all come back to lists together: so those whose list one of them spoilt are soon
        in lists without it.
        """
        for watch in watches:
            doublings, watch.unlisted = min(watch.unlisted, _LONGEST_ALONE), watch.unlisted + 1
            watch.alone = round(2**doublings * (1 + self.world.random() * spread))
            self.hub.again(watch, 0.0)

    async def _all_saw(self, shown: Sequence[tuple[Watch, Observation]], sent: float) -> None:
        for watch, observation in shown:
            await self._saw(watch, observation, sent)

    async def _list_failed(self, batch: list[Watch], verdict: Verdict, halves: bool, prompt: bool) -> None:
        """Find out whose fault it is: of one of those in the list, of lists, or of all looks."""
        refused = verdict.kind in _NO_LIST
        if halves and not refused and not await self._lists_only(batch, verdict):
            return
        self._unanswered += 1
        if halves and prompt and (verdict.kind is not Kind.NOT_FOUND or self._listed_once):
            middle = len(batch) // 2
            await self._half(batch[:middle])
            await self._half(batch[middle:])
            return
        if self._unanswered >= self._enough(verdict.kind):
            self._switch(verdict)
        self._leave_out(batch, spread=prompt)

    def _enough(self, kind: Kind) -> int:
        """How many lists, one after the other, prove that the vendor has none."""
        if self._listed_once or kind not in _NO_LIST:
            return _NO_LONGER
        return 1 if kind is Kind.NOT_FOUND else _NEVER

    async def _lists_only(self, batch: list[Watch], verdict: Verdict) -> bool:
        """Whether a single look is answered while lists fail; else the whole batch is looked at again later."""
        again = verdict.kind is Kind.AUTH or any(watch.failures or watch.unlisted for watch in batch)
        if again:
            one = batch[int(self.world.random() * len(batch))]
            await self._one(one)
            if not one.failures:
                return True
            batch = [watch for watch in batch if watch is not one]
            if verdict.kind is Kind.AUTH:  # which only a single look's answer says of the key
                verdict = evolve(verdict, kind=Kind.TRANSIENT)
        for watch in batch:
            await self._missed(watch, verdict)
        return False

    async def _half(self, batch: list[Watch]) -> None:
        if len(batch) == 1 or self.hub.at_most == 1:
            self._leave_out(batch)
        else:
            await self._many(batch, halves=False)

    def _switch(self, verdict: Verdict) -> None:
        if self.hub.at_most > 1:
            self.hub.at_most = 1
            self.notice(
                f"{self.desk.name} refuses to list jobs ({verdict.message}); looking at them one by one from now on."
                " Set polling.bulk = false to do so from the start"
            )

    # -- what was seen ---------------------------------------------------------------------------------------------

    async def _saw(self, watch: Watch, seen: Observation, sent: float) -> None:
        """A look that was sent at that time, UTC seconds, showed this."""
        if watch.gone:  # somebody else looks at the task by now, perhaps at another stage
            return
        now, shows = self.world.now(), seen.seen
        alive = watch.heard if watch.seen else None
        watch.looks += 1
        watch.failures = watch.missing = 0
        watch.seen = True
        # One look at a task follows the other, also where the clock was set back in between.
        watch.observed = watch.heard = sent if sent > watch.observed else nextafter(watch.observed, inf)
        if watch.running_since is None and shows is not _QUEUED:
            watch.running_since = now
        try:
            if shows is _SUCCEEDED or shows is _FAILED:
                self.hub.forget(watch.task)
                await self._ended(watch, seen, self.cadence.learn(watch, alive, now))
            elif not watch.background and (seen.park is not None or self._stays_odd(watch, seen)):
                self.hub.forget(watch.task)
                await self._ended(watch, evolve(seen, park=seen.park or Reason.UNCONFIRMED))
            else:
                if seen.handle is not None and seen.handle != watch.handle:
                    await self._taught(watch, seen, seen.handle)
                deadline = self.cadence.deadline(watch.batch)
                if not watch.background:
                    self._show(watch, seen)
                    if (late := self._late(watch, now, deadline)) is not None:
                        await self._give_up(watch, late)
                self._again(watch, seen, now, deadline)
        except UnknownTask:
            self.hub.forget(watch.task)

    def _stays_odd(self, watch: Watch, seen: Observation) -> bool:
        """Whether looks have shown for a while what makes no sense; the vendor may only be slow to write it down."""
        if seen.verdict is None:
            watch.odd = None
            return False
        now = self.world.monotonic()
        watch.odd = now if watch.odd is None else watch.odd
        return now - watch.odd >= _ODD

    async def _taught(self, watch: Watch, seen: Observation, handle: Handle) -> None:
        watch.handle = handle
        async with self.book.hold(watch.task) as hold:
            await hold.take(Observed(evolve(seen, at=watch.observed), watch.stage, watch.attempt))
            watch.seq = hold.row.seq

    async def _ended(self, watch: Watch, seen: Observation, lasted: float | None = None) -> None:
        verdict = None if seen.verdict is None else self.desk.courier.clean(seen.verdict)
        seen = evolve(seen, at=watch.observed, verdict=verdict)
        async with self.book.hold(watch.task) as hold:
            row = hold.row
            learnt: dict[str, Any] = {}
            if row.timings.started is None and watch.running_since is not None:
                learnt["timings"] = evolve(row.timings, started=watch.running_since)
            if lasted is not None:
                learnt["lasted"] = {**row.lasted, watch.stage: round(lasted, 3)}
            if learnt:
                hold.row = evolve(row, **learnt)
            await hold.take(Observed(seen, watch.stage, watch.attempt))

    def _show(self, watch: Watch, seen: Observation) -> None:
        shown = seen.status, seen.progress, seen.queue_position
        if shown != watch.shown:
            watch.shown = _told(*shown)
            data = {"status": seen.status, "progress": seen.progress, "queue_position": seen.queue_position}
            self.book.progress(watch.task, watch.key, watch.run, watch.seq, data)

    async def _give_up(self, watch: Watch, late: str) -> None:
        """Nobody waits for the task any more; it is looked at for its seat's sake."""
        watch.background = True
        async with self.book.hold(watch.task) as hold:
            if hold.row.state is State.WAITING:
                await hold.take(Parks(Reason.DEADLINE, Failure(kind=Kind.DEADLINE, message=late)))

    def _again(self, watch: Watch, seen: Observation | None, now: float, deadline: float) -> None:
        wait = self.cadence.next(watch, now - watch.began, seen, self.world.random())
        if watch.failures:
            wait = max(wait, min(60.0, 2.0 ** min(watch.failures, 6)))
        if not watch.background:
            wait = min(wait, watch.since + deadline - now)
        self.hub.again(watch, wait)

    def _late(self, watch: Watch, now: float, deadline: float) -> str | None:
        """Which of the three clocks has run out, as a sentence."""
        polling, collect = self.cadence.polling, "a later run collects its result"
        if now - watch.since >= deadline:
            return f"not done {deadline:g} s after its create (polling.deadline); {collect}"
        if watch.running_since is None:
            if polling.queue_deadline is not None and now - watch.since >= polling.queue_deadline:
                return (
                    f"still queued at the vendor after {polling.queue_deadline:g} s (polling.queue_deadline); {collect}"
                )
        elif (
            polling.run_deadline is not None
            and now - max(watch.running_since, watch.since) >= polling.run_deadline  # anew for a run that takes it up
        ):
            return f"still running at the vendor after {polling.run_deadline:g} s (polling.run_deadline); {collect}"
        return None

    # -- looks that failed -----------------------------------------------------------------------------------------

    async def _missed(self, watch: Watch, verdict: Verdict) -> None:
        if watch.gone:
            return
        try:
            await self._failed(watch, verdict)
        except UnknownTask:
            self.hub.forget(watch.task)

    async def _failed(self, watch: Watch, verdict: Verdict) -> None:
        watch.looks, watch.failures = watch.looks + 1, watch.failures + 1
        if verdict.kind is Kind.NOT_FOUND:
            now = self.world.monotonic()  # a clock that is set makes no minute of nothing but 404
            watch.missing, watch.missed = watch.missing + 1, watch.missed if watch.missing else now
            if watch.missing >= 2 and now - watch.missed >= _YOUNG:
                if not watch.seen:
                    await self._never_seen(watch, verdict)
                    return
                self.hub.forget(watch.task)
                gone = evolve(
                    verdict,
                    kind=Kind.NOT_FOUND,
                    charged=True,
                    message=f"{self.desk.name} no longer knows the job: {verdict.message}",
                )
                watch.observed = max(self.world.now(), nextafter(watch.observed, inf))
                await self._ended(watch, Observation(seen=Seen.FAILED, status="not found", verdict=gone))
                return
        if verdict.kind is Kind.AUTH and not self.keep_waiting:
            await self._key_refused(verdict)
            return
        now, deadline = self.world.now(), self.cadence.deadline(watch.batch)
        if not watch.background and (late := self._late(watch, now, deadline)) is not None:
            await self._give_up(watch, late)
        self._again(watch, None, now, deadline)

    async def _never_seen(self, watch: Watch, verdict: Verdict) -> None:
        """The vendor knows nothing of the job, and this run has never seen it: it may be late, or another's key."""
        self.hub.forget(watch.task)  # where a seat depends on it, it is looked at now and then
        if not watch.background:
            message = (
                f"{self.desk.name} does not know the job: {verdict.message}; if its key and address are those of the"
                " create, the job is gone: viseme cancel ends it; else put them right and run again"
            )
            async with self.book.hold(watch.task) as hold:
                if hold.row.state is State.WAITING:
                    await hold.take(Parks(Reason.NEEDS_PERSON, Failure(kind=Kind.NOT_FOUND, message=message)))

    async def _key_refused(self, verdict: Verdict) -> None:
        """The key no longer opens the account: stop it, and keep its tasks for a later run."""
        failure = self.desk.stop(Reason.NEEDS_PERSON, verdict)
        for watch in self.hub.watched():
            self.hub.forget(watch.task)
            if not watch.background:
                async with self.book.hold(watch.task) as hold:
                    if hold.row.state is State.WAITING:
                        await hold.take(Parks(Reason.NEEDS_PERSON, failure))
