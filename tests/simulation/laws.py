"""What must hold at every moment, from the vendors' side and from the ledger's: each law that breaks ends the run."""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from typing import Any

from attrs import define, field
from tests.simulation.network import Call
from tests.simulation.universe import Broken, Universe

from viseme.engine.run import Tally
from viseme.engine.transport import Line
from viseme.ledger.memory_disk import MemoryDisk

__all__ = ["Booking", "Laws"]

_LATE = 10.0
"""Seconds for which a request may be on its way whose process is dead, and its intent closed by the next."""
_OVERTAKEN = 4
"""So many may pass one that comes back from a passing refusal: they have their seats, and wait for their rate."""

_ON_THE_WAY = 5.0
"""A request of a life that is over may arrive so many seconds later."""


@define(eq=False)
class Booking:
    """A job that a vendor took, and will bill.

    Attributes:
        account: of ours.
        inputs: what tells jobs apart at the vendor.
        at: when it was taken, in true seconds; ``ends`` when it is over.
        good: whether it comes to a result.
        free: it is not billed if it fails.
    """

    vendor: str
    account: str
    id: str
    stage: str
    inputs: str
    at: float
    starts: float
    ends: float
    good: bool
    free: bool
    cost: float = 1.0
    key: str = ""
    version: int = 0


@define(eq=False)
class Laws:
    """The judge.

    Attributes:
        ledger: what is on the ledger's disk, whoever lives.
        tasks: keys of the jobs, by their inputs.
        secrets: what no message, file or ledger may show; by the host that may see it.
        grants: how often a person ordered a job to be paid for again, by key.
        retries: whether failed jobs may be created anew without an order; ``retrying`` whether a person ordered it.
        apart: keys of jobs that may wait for something of their own: an upload, their turn at another account.
        restarted: when the present life began, in true seconds.
    """

    universe: Universe
    ledger: MemoryDisk
    tasks: Mapping[str, tuple[str, ...]]
    secrets: Mapping[str, str]
    retries: Mapping[str, bool]
    apart: frozenset[str] = frozenset()
    retrying: bool = False
    grants: dict[str, int] = field(factory=lambda: defaultdict[str, int](int))
    bookings: list[Booking] = field(factory=list[Booking])
    restarted: float = 0.0
    _left: set[str] = field(factory=set[str])
    _overtaken: Counter[str] = field(factory=Counter[str])
    _arrived: dict[tuple[str, str], deque[float]] = field(factory=lambda: defaultdict[Any, Any](deque))

    # -- while things happen -----------------------------------------------------------------------------------------

    def leaves(self, line: Line, call: Call) -> None:
        """A request leaves: keys go to their own host only, and none goes with a download."""
        words = json.dumps([call.path, dict(call.query), dict(call.headers)])
        for secret, host in self.secrets.items():
            if secret in words and (call.host != host or line.account == "downloads"):
                raise Broken(f"secrets: {secret} was sent to {call.host}{call.path}")

    def counted(self, tally: Tally, *, left: bool) -> None:
        """A run has told of each of its tasks once; where it was left, others may go on with some."""
        if tally.ended > tally.total or (tally.ended < tally.total and not left):
            raise Broken(f"tally: a run is over and counts {tally.ended} of {tally.total} tasks as ended or parked")

    def begins(self) -> None:
        """A life of our process begins."""
        self.restarted = self.universe.now
        self._overtaken.clear()

    def goes(self, account: str, inputs: str) -> None:
        """A create leaves: those of one account go by priority, then as they came."""
        keys = self.tasks.get(inputs, ())
        entry = self.ledger.keys.get(keys[0]) if len(keys) == 1 else None
        if entry is None or entry.key in self._left:
            return
        self._left.add(entry.key)
        for _, order in self.ledger.queues.get(account, ()):
            other = self.ledger.tasks[order]
            if (other.rank, other.order) >= (entry.rank, entry.order) or other.key in self._left | self.apart:
                continue
            self._overtaken[other.key] += 1
            if self._overtaken[other.key] > _OVERTAKEN:
                raise Broken(f"order: {entry.key} goes before {other.key}, which has waited longer at {account}")

    def within(self, account: str, name: str, count: int, seconds: float, *, careful: bool = True) -> None:
        """A request of a class arrives; no more than ``count`` may in any ``seconds``.

        Args:
            careful: they are counted over a restart too, unless the clock jumped; reads begin at half their rate
                instead, whatever is still on its way, and uploads are not counted.
        """
        arrived = self._arrived[account, name]
        now = self.universe.now
        arrived.append(now)
        while arrived[0] <= now - seconds:
            arrived.popleft()
        jumped = self.universe.jumped > self.restarted - seconds - _ON_THE_WAY
        exact = now - self.restarted > seconds + _ON_THE_WAY or (careful and not jumped)
        most = count if exact else 2 * count if careful or jumped else count + count // 2 + 1
        if len(arrived) > most:
            raise Broken(f"rates: {len(arrived)} {name} requests in {seconds:g} s at {account}, which allows {count}")

    def seated(self, account: str, seats: int) -> None:
        """A job begins; no more than ``seats`` may be under way."""
        now = self.universe.now
        busy = sum(booking.account == account and booking.at <= now < booking.ends for booking in self.bookings)
        if busy > seats:
            raise Broken(f"seats: {busy} jobs under way at {account}, which allows {seats}")

    def book(self, booking: Booking) -> None:
        """A vendor takes a paid request: its intent is on disk, and nothing is paid for twice."""
        keys = self.tasks.get(booking.inputs, ())
        if not any(self._intended(key, booking) for key in keys):
            raise Broken(f"intent: {booking.vendor} was asked for {booking.inputs} without an intent on disk")
        before = [
            known
            for known in self.bookings
            if (known.inputs, known.stage) == (booking.inputs, booking.stage) and not self._may_be_repeated(known)
        ]
        allowed = len(keys) + sum(self.grants[key] for key in keys)
        if len(before) >= allowed:
            ids = ", ".join(f"{known.account}:{known.id}" for known in before)
            raise Broken(f"money: {booking.inputs} ({booking.stage}) is paid for again; booked before as {ids}")
        self.bookings.append(booking)

    def _may_be_repeated(self, booking: Booking) -> bool:
        """A job that ended without a result, and cost nothing, may be tried anew where the user allows it."""
        over = booking.ends <= self.universe.now and not booking.good
        return over and (self.retrying or (booking.free and self.retries.get(booking.account, False)))

    def _intended(self, key: str, booking: Booking) -> bool:
        entry = self.ledger.keys.get(key)
        if entry is None:
            return False
        for account, ended, text in self.ledger.intents.values():
            late = ended is None or self.universe.wall - ended < _LATE
            if account == booking.account and late:
                intent = json.loads(text)
                if intent["task"] == entry.id and intent["stage"] == booking.stage:
                    return True
        return False

    def looked(self, account: str, vendor_id: str) -> None:
        """A vendor is asked for one of its jobs: its id is on disk."""
        if (account, vendor_id) not in self.ledger.vendor_ids:
            raise Broken(f"handle: {account} was asked for {vendor_id}, which is not on disk")
