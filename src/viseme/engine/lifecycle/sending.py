"""One create on its way: its intent is on disk before it leaves, and what the vendor says of it is written down."""

from __future__ import annotations

from attrs import define, field

from viseme.attempts import Handle, TaskRow
from viseme.engine.admission.desk import Desk
from viseme.engine.crew import insist
from viseme.engine.cuts import Cut
from viseme.engine.lifecycle.book import Hold
from viseme.engine.lifecycle.claims import Claimed, Claims
from viseme.engine.lifecycle.line import intent_for
from viseme.engine.lifecycle.refusals import Refusals
from viseme.engine.lifecycle.signals import Called, Intended, Lost, Prepared, Taken, Turned
from viseme.engine.money.cashier import Cashier
from viseme.engine.uploads.uploads import Uploads
from viseme.engine.world import World
from viseme.evolving import evolve
from viseme.failures import Kind
from viseme.ledger.base import Rank
from viseme.providers.base import Accepted, Refused, Request, Verdict
from viseme.results import State

__all__ = ["Outgoing", "Sender"]

_GONE = frozenset({Kind.NOT_FOUND, Kind.MEDIA_UNREACHABLE})
"""Refusals that may mean that the vendor lost a medium that it was handed."""


class _Withdrawn(Exception):
    """The task was called off, or the run stopped, before its create left."""


@define(eq=False, repr=False)
class Outgoing(Cut):
    """One create under way, and what ends it.

    Attributes:
        row: the task as it stood in line; let go of once its create has left (1 KB).
        rank: its place there.
        seat: the one to give back if nothing leaves.
        begun: how many bursts of refusals the desk had seen when it was begun.
        leaves: its request may have left, or is about to.
        back: the task stands in line again.
    """

    row: TaskRow | None
    rank: Rank
    seat: str | None
    begun: int
    leaves: bool = False
    back: bool = False


@define(eq=False, repr=False)
class Sender:
    """Sends the creates of one account; any number at a time.

    Attributes:
        claims: what may be paid for once only.
        refusals: draws the conclusions for the account.
        called_off: ids of tasks that the user called off while they were held here.
        stopping: nothing more leaves.
        renewed: tasks whose media are handed over a second time, since the vendor did not find them.
    """

    world: World
    desk: Desk
    cashier: Cashier
    uploads: Uploads
    claims: Claims
    refusals: Refusals
    called_off: set[str]
    stopping: bool = False
    renewed: set[str] = field(factory=set[str], init=False)

    async def send(self, hold: Hold, out: Outgoing, media: dict[str, Handle]) -> None:
        """Send the create of a task that is held, and write down what the vendor says.

        Args:
            media: what the vendor calls those that it was handed.
        """
        if media != hold.row.inputs:
            await hold.take(Prepared(media))
        if hold.row.seconds is None and self.cashier.estimator.looked:
            hold.row = await self._measured(hold.row)
        task, job = hold.row.id, hold.row.job
        intent = intent_for(self.desk, hold.row, self.world.new_id(), self.world.now())
        saved: list[Handle] = []

        async def leave(request: Request) -> None:
            if self.stopping or task in self.called_off:
                raise _Withdrawn
            if request.claim:
                await self.claims.heed(hold.row, intent.stage, request.claim)
            if out.made:
                raise _Withdrawn
            out.leaves = True
            insist()
            now = self.world.now()
            sent = evolve(intent, at=now, claim=request.claim, saved=saved[-1] if saved else None)
            charge = self.cashier.charge(hold.row, self.desk.name)
            await hold.take(Intended(sent, self.desk.seat(sent, now), charge))
            out.row = out.seat = None  # the ledger's from now on

        flow = self.desk.provider.create(job, intent, {**hold.row.inputs, **hold.row.handles})
        try:
            accepted = await self.desk.courier.run(flow, before=leave, keep=saved.append, priority=job.priority)
        except _Withdrawn:
            if task in self.called_off:
                await hold.take(Called(None))
        except Claimed as claimed:
            await self.claims.settle(hold, intent.stage, claimed, saved[-1] if saved else {})
        except Refused as refusal:
            await self._refused(hold, refusal.verdict, out.begun)
        else:
            if hold.row.state is not State.CREATING:
                await hold.take(Taken(accepted, intent.stage))
                return
            await hold.take(Taken(accepted))
            self.refusals.accepted()

    async def _measured(self, row: TaskRow) -> TaskRow:
        """The row with the length of its result, if that is known by now: it tells when to look."""
        seconds = await self.cashier.estimator.known_length(row.job, self.desk.name)
        return row if seconds is None else evolve(row, seconds=seconds)

    async def _refused(self, hold: Hold, verdict: Verdict, begun: int) -> None:
        if verdict.kind is Kind.FATE_UNKNOWN and hold.row.state is State.CREATING:
            if verdict.handle is None:
                await hold.take(Lost(verdict))
                return
            await hold.take(Taken(Accepted(handle=verdict.handle)))
            self.refusals.accepted()
            return
        if verdict.kind in _GONE and await self._renews(hold):
            await hold.take(Turned(evolve(verdict, kind=Kind.TRANSIENT)))
            return
        self.refusals.note(verdict, begun=begun)
        await hold.take(Turned(verdict, self.refusals.keep_waiting))
        if verdict.park is None:
            self.refusals.conclude(verdict)

    async def _renews(self, hold: Hold) -> bool:
        """Have media that the vendor does not find handed over once more, and given to nobody else as they are."""
        if hold.row.id in self.renewed or hold.row.handles or not await self.uploads.forget(hold.row.inputs):
            return False
        self.renewed.add(hold.row.id)
        return True
