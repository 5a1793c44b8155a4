"""Finds out what became of a create whose reply was lost, and never by paying again."""

from __future__ import annotations

import asyncio

from anyio import CancelScope, CapacityLimiter, move_on_after
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from attrs import define, evolve, field

from viseme.attempts import Intent
from viseme.engine.admission.desk import PROBE, Desk
from viseme.engine.lifecycle.adopting import Adopter
from viseme.engine.lifecycle.book import Book, Hold
from viseme.engine.lifecycle.signals import (
    Lost,
    Parks,
    Proved,
    Reconciles,
    Resent,
    Taken,
    Turned,
    Unsettled,
)
from viseme.engine.lifecycle.steps import ACCOUNT_TROUBLE, BACK_IN_LINE
from viseme.engine.world import World
from viseme.failures import Failure, Kind
from viseme.providers.asking import Method, how_to_ask, why_not
from viseme.providers.base import Absent, Accepted, Fault, Finding, Found, Refused, Request, Undecided, Verdict
from viseme.results import UNSETTLED, Reason, State

__all__ = ["Reconciler"]

_REPLY = 60.0
"""How long the reply to a replayed create is waited for, seconds."""
_LOST = "the create's reply was lost"
_APART = 10.0
"""Two looks that prove absence are at least so far apart, seconds."""
_REFUSALS = frozenset({Kind.INVALID, Kind.CONTENT_REJECTED})
"""What a replayed create may be refused for, if the first was not carried out; anything else proves nothing."""
_PATIENCE = 300.0
"""How long a question waits for its place in the rates, seconds; a later run asks it then."""
_FIRST = 2**31
"""The priority of the questions: what may have been paid for goes before what was not."""


class _Forgotten(Exception):
    """The key is older than the vendor is trusted to remember it."""


class _Unheard(Exception):
    """The vendor had no occasion to say what became of the create."""


@define(eq=False, repr=False)
class Reconciler:
    """Settles the lost creates of one account, a few at a time.

    Attributes:
        keep_waiting: wait while the account is in trouble, instead of parking what it was to be asked.
    """

    world: World
    book: Book
    desk: Desk
    adopter: Adopter
    group: TaskGroup
    grace: float = 10.0
    keep_waiting: bool = False
    _few: CapacityLimiter = field(factory=lambda: CapacityLimiter(8))
    _under_way: dict[str, CancelScope] = field(factory=dict[str, CancelScope])
    _shields: set[CancelScope] = field(factory=set[CancelScope])
    _drained: asyncio.Event = field(factory=asyncio.Event)
    _stopping: bool = False
    _freed: asyncio.Event = field(factory=asyncio.Event)

    def __attrs_post_init__(self) -> None:
        self.desk.pool.seats.on_change(self._freed.set)

    def put(self, task: str) -> None:
        """Settle a task's lost create."""
        if task not in self._under_way and not self._stopping:
            scope = self._under_way[task] = CancelScope()
            self.desk.undecided += 1
            self.group.start_soon(self._settle, task, scope)

    def stop(self) -> None:
        """Ask no more; what is open stays open, a replay that may have left is waited for up to the grace time."""
        self._stopping = True
        for shield in self._shields:
            shield.deadline = min(shield.deadline, self.world.monotonic() + self.grace)
        for scope in self._under_way.values():
            scope.cancel()

    def withdraw(self, task: str) -> None:
        """Ask no more after one task."""
        scope = self._under_way.get(task)
        if scope is not None:
            scope.cancel()

    async def drained(self) -> None:
        """Wait until nothing is being settled."""
        while self._under_way:
            self._drained.clear()
            await self._drained.wait()

    async def _settle(self, task: str, scope: CancelScope) -> None:
        try:
            with scope:
                async with self.book.hold(task) as hold:
                    if hold.row.state in UNSETTLED and not hold.row.parked:
                        await self._reconcile(hold)
        finally:
            del self._under_way[task]
            self.desk.undecided -= 1
            self.desk.changed()
            self._drained.set()

    async def _reconcile(self, hold: Hold) -> None:
        intent = hold.row.intent
        if intent is None:
            return
        if hold.row.state is State.CREATING:
            message = "the process ended between sending the create and writing down its reply"
            await hold.take(Lost(Verdict(kind=Kind.FATE_UNKNOWN, message=message, blame="network", charged=True)))
        method = self._method(intent)
        if intent.endpoint != self.desk.provider.base:  # at its own address it may yet be asked
            message = self._open_question(hold, intent)
            await hold.take(Parks(Reason.FATE_UNKNOWN, Failure(kind=Kind.FATE_UNKNOWN, message=message)))
        try:
            if method is not None:
                await self._ask(hold, intent, method)
        except _Unheard as unheard:
            message = f"{self._lost(hold)} and {self.desk.name} could not be asked: {unheard}; the next run asks again"
            await hold.take(Parks(Reason.FATE_UNKNOWN, Failure(kind=Kind.FATE_UNKNOWN, message=message)))
        if hold.row.state is State.RECONCILING and not hold.row.parked:
            await hold.take(Unsettled(self._open_question(hold, intent)))

    def _method(self, intent: Intent) -> Method | None:
        return how_to_ask(self.desk.provider, intent, self.world.now())

    def _open_question(self, hold: Hold, intent: Intent) -> str:
        first = "" if self._method(intent) is None else " run again, which asks once more and pays nothing twice; or"
        return (
            f"{self._lost(hold)} and {why_not(self.desk.provider, intent, self.world.now())};"
            f" its seat stays taken for up to {self.desk.seat_ttl / 60:g} min;{first}"
            f" look at the vendor's own list, then run viseme reconcile --resubmit {hold.row.key} (may pay twice)"
            f" or --abandon {hold.row.key}"
        )

    def _lost(self, hold: Hold) -> str:
        """How the reply was lost, as the run in which that happened had it."""
        known = hold.row.failure.message if hold.row.failure else "nothing says how"
        if known.startswith(_LOST):
            return known.partition(") and ")[0] + ")"
        return f"{_LOST} ({known})"

    # -- asking ----------------------------------------------------------------------------------------------------

    async def _ask(self, hold: Hold, intent: Intent, method: Method) -> None:
        """Ask again and again, more and more slowly, until it is settled or patience ends.

        Raises:
            _Unheard: patience ended, and the vendor never had its say.
        """
        await hold.take(Reconciles(method))
        question = self._replay if method == "replay" else self._lookup
        began, wait, absent_since, heard = self.world.monotonic(), 1.0, None, False
        while not await self._barred(hold):
            try:
                finding = await question(hold, intent)
            except Refused as refusal:
                await self._account_in_trouble(hold, refusal.verdict)
                began = self.world.monotonic()
                continue
            except _Unheard:
                if heard:
                    return
                raise
            heard = heard or not isinstance(finding, Fault)
            if isinstance(finding, Absent) and self.desk.provider.sheet.complete:
                now = self.world.monotonic()
                absent_since = now if absent_since is None else absent_since
                if now - absent_since >= _APART:
                    await hold.take(Proved())
            left = began + self.desk.provider.sheet.settle - self.world.monotonic()
            if hold.row.state is not State.RECONCILING or (isinstance(finding, Undecided) and not finding.again):
                return
            if left <= 0 and isinstance(finding, Fault) and not heard:
                raise _Unheard(finding.message)
            if left <= 0 or self._method(intent) is None:
                return
            await self.world.sleep(min(left, wait * (1 + self.world.random() / 4)))
            wait = min(_APART, wait * 2)

    async def _barred(self, hold: Hold) -> bool:
        """Whether the account refuses its key, so that asking is in vain: the task is parked, or that is waited out."""
        while (stop := self.desk.stopped) is not None and stop.reason is Reason.NEEDS_PERSON:
            if not self.keep_waiting:
                await hold.take(Parks(stop.reason, stop.failure))
                return True
            await self.world.sleep(PROBE)
        return hold.row.parked is not None

    async def _account_in_trouble(self, hold: Hold, verdict: Verdict) -> None:
        """The question was refused for the account's sake, which tells nothing of the create."""
        reason = ACCOUNT_TROUBLE[verdict.kind]
        failure = self.desk.stop(reason, verdict)
        if self.keep_waiting:
            self.desk.probe_later()
            await self.world.sleep(PROBE)
        else:
            await hold.take(Parks(reason, failure))

    async def _replay(self, hold: Hold, intent: Intent) -> Finding | Fault:
        """Send the same create with the same key: the vendor answers with the first one's job, or makes it now.

        So it needs the attempt's seat, or another where that was given up.

        Returns:
            the fault, where the vendor said nothing of the create.

        Raises:
            Refused: for the account's sake.
            _Unheard: it was not sent.
        """
        own = hold.row.seat
        anew = await self._take_seat(own)
        flow = self.desk.provider.create(hold.row.job, intent, {**hold.row.inputs, **hold.row.handles})
        shield, left = CancelScope(deadline=self.world.monotonic() + _PATIENCE), False

        async def leave(_: Request) -> None:
            nonlocal left
            await checkpoint()  # whoever stops or withdraws this does so here, or waits for the reply
            if self._method(intent) is None:
                raise _Forgotten
            shield.shield, shield.deadline, left = True, self.world.monotonic() + _REPLY, True
            seat = self.desk.seat(intent, self.world.now()) if anew else None
            await hold.take(Resent(evolve(intent, id=self.world.new_id(), ended=None), seat))

        self._shields.add(shield)
        try:
            with shield:
                async with self._few:
                    accepted = await self.desk.courier.run(flow, before=leave, priority=_FIRST)
                await self._accepted(hold, accepted)
        except _Forgotten:
            return Undecided(message="its key grew too old while it waited for its turn", again=False)
        except Refused as refusal:
            if not left:
                raise _Unheard(refusal.verdict.message) from None
            return await self._refused(hold, refusal.verdict)
        finally:
            self._shields.discard(shield)
            if anew and not left:
                self.desk.pool.seats.give_back(own)
        if shield.cancelled_caught and not left:
            raise _Unheard("its requests wait for their turn")
        return Undecided(message="no reply came in time")

    async def _take_seat(self, name: str) -> bool:
        """Have the attempt in a seat; True where that had to be taken anew.

        Raises:
            _Unheard: none came free.
        """
        seats = self.desk.pool.seats
        if seats.holds(name):
            return False
        with move_on_after(_PATIENCE):
            while not (seats.free and seats.take(name)):
                self._freed.clear()
                await self._freed.wait()
            return True
        raise _Unheard(f"all {seats.taken} seats are taken")

    async def _accepted(self, hold: Hold, accepted: Accepted) -> None:
        await hold.take(Taken(accepted))
        self.desk.opened()

    async def _refused(self, hold: Hold, verdict: Verdict) -> Finding | Fault:
        """What the refusal of a replay says of the create: only the vendor's own word on its inputs says no."""
        if verdict.handle is not None:
            await self._accepted(hold, Accepted(handle=verdict.handle))
        elif verdict.kind in _REFUSALS and verdict.code is not None:
            await hold.take(Turned(verdict))
        elif hold.row.intent is not None:
            await hold.take(Resent(evolve(hold.row.intent, ended=self.world.now())))
        if verdict.kind in ACCOUNT_TROUBLE:
            raise Refused(verdict)
        return _word(verdict)

    async def _lookup(self, hold: Hold, intent: Intent) -> Finding | Fault:
        """Look the create up, and take what is found."""
        try:
            flow = self.desk.provider.reconcile(hold.row.job, intent, self.world.now())
            async with self._few:
                finding = await self.desk.courier.run(flow, tries=2, priority=_FIRST)
        except Refused as refusal:
            if refusal.verdict.kind is Kind.AUTH:
                raise
            return _word(refusal.verdict)
        if isinstance(finding, Found):
            shared = self.desk.provider.exclusive(hold.row.job) is not None  # one after the other, under one id
            with move_on_after(_REPLY):
                await self.adopter.adopt(hold, intent, finding, shared=shared)
        return finding


def _word(verdict: Verdict) -> Undecided | Fault:
    """A refusal as the vendor's word on the create, which tells nothing; a fault where it is none."""
    if verdict.kind in BACK_IN_LINE:
        return Fault(sent=True, message=verdict.message)
    return Undecided(message=verdict.message)
