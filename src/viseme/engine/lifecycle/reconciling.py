"""Finds out what became of a create whose reply was lost, and never by paying again."""

from __future__ import annotations

import asyncio

from anyio import CancelScope, CapacityLimiter
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from viseme.attempts import Intent
from viseme.engine.admission.desk import Desk
from viseme.engine.lifecycle.book import Book, Hold
from viseme.engine.lifecycle.signals import (
    Lost,
    Proved,
    Reconciles,
    Refound,
    Resent,
    Taken,
    Turned,
    Unsettled,
)
from viseme.engine.world import World
from viseme.errors import Kind
from viseme.ledger.base import Ledger
from viseme.providers.base import Absent, Accepted, Finding, Found, Refused, Request, Safety, Undecided, Verdict
from viseme.results import State

__all__ = ["Reconciler"]

_REPLY = 60.0
"""How long the reply to a replayed create is waited for, seconds."""
_LOST = "the create's reply was lost"
_APART = 10.0
"""Two looks that prove absence are at least so far apart, seconds."""
_SLACK = 120.0
"""How far the vendor's clock may be behind ours, seconds."""
_REFUSALS = frozenset({Kind.INVALID, Kind.MEDIA_UNREACHABLE, Kind.CONTENT_REJECTED})
"""What a replayed create may be refused for, if the first was not carried out; anything else proves nothing."""


@define(eq=False)
class Reconciler:
    """Settles the lost creates of one account, a few at a time."""

    world: World
    ledger: Ledger
    book: Book
    desk: Desk
    group: TaskGroup
    grace: float = 10.0
    _few: CapacityLimiter = field(factory=lambda: CapacityLimiter(8))
    _adopting: asyncio.Lock = field(factory=asyncio.Lock)
    _under_way: dict[str, CancelScope] = field(factory=dict[str, CancelScope])
    _shields: set[CancelScope] = field(factory=set[CancelScope])
    _drained: asyncio.Event = field(factory=asyncio.Event)
    _stopping: bool = False

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
                async with self._few, self.book.hold(task) as hold:
                    if hold.row.state in (State.CREATING, State.RECONCILING) and not hold.row.parked:
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
        if self._replays(intent):
            await self._ask(hold, intent, "replay")
        elif intent.batch or self.desk.provider.sheet.safety is Safety.CORRELATE:
            await self._ask(hold, intent, "lookup")
        if hold.row.state is State.RECONCILING:
            await hold.take(Unsettled(self._open_question(hold)))

    def _replays(self, intent: Intent) -> bool:
        sheet = self.desk.provider.sheet
        keyed = sheet.safety is Safety.REPLAY and not intent.batch
        return keyed and self.world.now() - intent.at < sheet.replay_lifetime

    def _open_question(self, hold: Hold) -> str:
        lost = hold.row.failure.message if hold.row.failure else "the reply was lost"
        if lost.startswith(_LOST):
            return lost
        return (
            f"{_LOST} ({lost}) and {self.desk.name} cannot tell what became of it;"
            f" its seat stays taken for up to {self.desk.seat_ttl / 60:g} min;"
            f" look at the vendor's own list, then run viseme reconcile --resubmit {hold.row.key} (may pay twice)"
            f" or --abandon {hold.row.key}"
        )

    async def _ask(self, hold: Hold, intent: Intent, method: str) -> None:
        """Ask again and again, more and more slowly, until it is settled or patience ends."""
        await hold.take(Reconciles(method))
        began, wait, absent_since = self.world.monotonic(), 1.0, None
        while hold.row.state is State.RECONCILING:
            if method == "replay":
                await self._replay(hold, intent)
            else:
                finding = await self._lookup(hold, intent)
                if isinstance(finding, Undecided) and not finding.again:
                    return
                if isinstance(finding, Absent) and self.desk.provider.sheet.complete:
                    now = self.world.monotonic()
                    absent_since = now if absent_since is None else absent_since
                    if now - absent_since >= _APART:
                        await hold.take(Proved())
            left = began + self.desk.provider.sheet.settle - self.world.monotonic()
            if hold.row.state is not State.RECONCILING or left <= 0:
                return
            await self.world.sleep(min(left, wait * (1 + self.world.random() / 4)))
            wait = min(_APART, wait * 2)

    async def _replay(self, hold: Hold, intent: Intent) -> None:
        """Send the same create with the same key: the vendor answers with the first one's job, or makes it now."""
        flow = self.desk.provider.create(hold.row.job, intent, {**hold.row.inputs, **hold.row.handles})
        shield = CancelScope(deadline=self.world.monotonic() + _REPLY)

        async def leave(_: Request) -> None:
            shield.shield = True
            await hold.take(Resent(evolve(intent, id=self.world.new_id(), ended=None)))

        self._shields.add(shield)
        with shield:
            try:
                accepted = await self.desk.courier.run(flow, before=leave)
            except Refused as refusal:
                verdict = refusal.verdict
                if verdict.handle is not None:
                    await hold.take(Taken(Accepted(handle=verdict.handle)))
                elif verdict.kind in _REFUSALS:
                    await hold.take(Turned(verdict))
                elif hold.row.intent is not None:
                    await hold.take(Resent(evolve(hold.row.intent, ended=self.world.now())))
            else:
                await hold.take(Taken(accepted))
                self.desk.opened()
        self._shields.discard(shield)

    async def _lookup(self, hold: Hold, intent: Intent) -> Finding:
        """Look the create up, and take what is found."""
        try:
            flow = self.desk.provider.reconcile(hold.row.job, intent, self.world.now())
            finding = await self.desk.courier.run(flow, tries=2)
        except Refused as refusal:
            finding = Undecided(message=refusal.verdict.message)
        if isinstance(finding, Found):
            await self._adopt(hold, intent, finding)
        return finding

    async def _adopt(self, hold: Hold, intent: Intent, found: Found) -> None:
        """Take what was found, unless it is older than the create, or another task's."""
        if found.created is not None and found.created < intent.at - _SLACK:
            return
        async with self._adopting:
            owner = await self.ledger.adopted(self.desk.name, str(found.handle.get("id")))
            shared = self.desk.provider.exclusive(hold.row.job) is not None  # one after the other, under one id
            if owner in (None, hold.row.id) or shared:
                await hold.take(Refound(found))
