"""Both ledgers against a plain model, through whatever hypothesis can think of."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit import ledgers
from tests.unit.ledgers import KINDS, charge, event, house, in_line, intent, job, row, seat, upload

from viseme.attempts import Intent, Seat, TaskRow, Upload
from viseme.errors import LedgerError
from viseme.events import Event, EventType
from viseme.ledger import Change, Count, Ledger, MemoryLedger, Order
from viseme.ledger.base import UNDER_WAY, TakenOver
from viseme.money import Charge, Spending
from viseme.results import ENDED, Reason, State

ACCOUNTS = st.sampled_from(["sync", "jogg"])
RUNS = st.integers(1, 3)
STATES = st.sampled_from([state for state in State if state is not State.PARKED])
VENDOR_IDS = (("sync", "1"), ("jogg", "1"), ("jogg", "v\ud800"), ("sync", "project 7, full"))
DIGESTS = st.sampled_from(["d1", "d2"])
KEYS = st.sampled_from([f"key-{n}" for n in range(12)])


class Model:
    """What a ledger is, said as plainly as can be."""

    def __init__(self) -> None:
        self.rows: dict[int, TaskRow] = {}
        self.held: set[int] = set()
        self.last_task = 0
        self.events: list[Event] = []
        self.intents: dict[str, Intent] = {}
        self.adopted: dict[tuple[str, str], str] = {}
        self.seats: dict[str, Seat] = {}
        self.charges: dict[str, Charge] = {}
        self.uploads: dict[tuple[str, str], Upload] = {}
        self.orders: list[Order] = []
        self.asked = 0
        self.gates: dict[str, Any] = {}
        self.run = 0

    def tell(self, happened: Event) -> None:
        self.events.append(evolve(happened, order=len(self.events) + 1))

    def tell_queued(self, task: TaskRow) -> None:
        self.tell(evolve(event(task, EventType.QUEUED, 1, account=task.account, model=task.job.model), at=1000.0))

    def add(self, given: list[TaskRow], held: bool) -> list[TaskRow]:
        found: list[TaskRow] = []
        for task in given:
            known = next((old for old in self.rows.values() if old.key == task.key), None)
            if known is None:
                self.last_task += 1
                known = self.rows[self.last_task] = evolve(task, order=self.last_task, seq=1)
                if held:
                    self.held.add(known.order)
                else:
                    self.tell_queued(known)
            found.append(known)
        return found

    def release(self, run: int) -> None:
        for order in sorted(self.held):
            if self.rows[order].run == run:
                self.held.discard(order)
                self.tell_queued(self.rows[order])

    def discard(self, run: int | None) -> None:
        for order in list(self.held):
            if run in (None, self.rows[order].run):
                self.held.discard(order)
                del self.rows[order]

    def commit(self, *changes: Change) -> None:
        for change in changes:
            if change.row.order not in self.rows or change.row.order in self.held:
                raise LedgerError
        for change in changes:
            task = self.rows[change.row.order] = change.row
            if task.handle is not None and task.handle.get("id") is not None:
                self.adopted.setdefault((task.account, str(task.handle["id"])), task.id)
            if change.intent is not None:
                self.intents[change.intent.id] = change.intent
                if change.intent.claim and change.intent.ended is None:
                    self.adopted[task.account, change.intent.claim] = task.id
            if change.closes is not None:
                self.seats.pop(change.closes, None)
            if change.opens is not None:
                self.seats[change.opens.id] = change.opens
            if change.refunds is not None:
                self.charges.pop(change.refunds, None)
            if change.charge is not None:
                self.charges[change.charge.id] = change.charge
            for happened in change.events:
                self.tell(happened)

    def take_over(self, run: int, after: int, limit: int, before: int, but: list[str]) -> TakenOver:
        living = [task for task in self.shown() if task.order > after and task.state not in ENDED][:limit]
        left = [
            task
            for task in living
            if (task.run < before and task.account == "sync" and not task.parked)
            and (task.state in UNDER_WAY and task.id not in but)
        ]
        self.rows |= {task.order: evolve(task, run=run) for task in left}
        return TakenOver(last=living[-1].order if living else None, tasks={"sync": len(left)} if left else {})

    def shown(self) -> list[TaskRow]:
        return [task for order, task in sorted(self.rows.items()) if order not in self.held]

    def queued(self, account: str, run: int) -> list[TaskRow]:
        waiting = [task for task in self.shown() if task.state is State.QUEUED and not task.parked]
        mine = [task for task in waiting if task.account == account and task.run >= run]
        return sorted(mine, key=lambda task: (-task.job.priority, task.order))

    def first_rank(self) -> tuple[int, int] | None:
        queue = self.queued("sync", 1)
        return (-queue[0].job.priority, queue[0].order) if queue else None

    def counts(self) -> list[Count]:
        found = Counter((task.account, task.state.value, task.parked or "") for task in self.shown())
        return [
            Count(account=account, state=State(state), parked=Reason(parked) if parked else None, tasks=tasks)
            for (account, state, parked), tasks in sorted(found.items())
        ]

    def spending(self, since: str) -> list[Spending]:
        groups: dict[Any, list[Charge]] = {}
        for made in self.charges.values():
            if made.day >= since:
                groups.setdefault((made.account, made.pool, made.day, made.unit, made.state), []).append(made)
        return [
            Spending(
                account=account,
                pool=pool,
                day=day,
                state=state,
                unit=unit,
                tasks=len(group),
                amount=sum((made.amount for made in group if made.amount is not None), Decimal(0)),
                usd=sum((made.usd for made in group if made.usd is not None), Decimal(0)),
                unpriced=sum(made.amount is None for made in group),
                without_usd=sum(made.usd is None for made in group),
            )
            for (account, pool, day, unit, state), group in sorted(
                groups.items(), key=lambda item: [part or "" for part in item[0]]
            )
        ]

    def recent(self, account: str, creates: int) -> list[TaskRow]:
        mine = [made for made in self.intents.values() if made.account == account and made.ended is not None]
        newest = sorted(mine, key=lambda made: (made.ended or 0.0, made.id))[-creates:]
        tasks = [made.task for made in newest]
        rows = {row.id: row for row in self.rows.values()}
        return [rows[task] for place, task in enumerate(tasks) if task not in tasks[place + 1 :]]

    def view(self) -> dict[str, Any]:
        everyone = by_order(list(self.rows.values()))
        shown = self.shown()
        living = [task for task in shown if task.state not in ENDED]
        start = self.first_rank()
        beyond = [task for task in self.queued("sync", 2) if not start or (-task.job.priority, task.order) > start]
        intents = {i.id: i for i in self.intents.values() if i.account == "sync" and (i.ended is None or i.ended > 1.0)}
        return {
            "tasks": everyone,
            "by_keys": everyone,
            "all": shown,
            "all, a page": [task for task in shown if task.order > 2][:3],
            "open": living,
            "open, some": [t for t in living if (t.account, t.run) == ("sync", 2) and t.order > 1][:3],
            "queue": self.queued("sync", 1),
            "queue, a page": beyond[:2],
            "events": self.events,
            "events, of a run": [e for e in self.events[3:] if e.run == 2][:2],
            "events, of a task": [e for e in self.events if e.task == "t1"],
            "seats": self.seats,
            "intents": intents,
            "recent": self.recent("sync", 3),
            "adopted": [self.adopted.get(place) for place in VENDOR_IDS],
            "counts": self.counts(),
            "spending": self.spending(""),
            "spending, of late": self.spending("2026-11-21"),
            "uploads": [self.uploads.get(("sync", digest)) for digest in ("d1", "d2")],
            "gates": self.gates,
        }


def by_order(tasks: list[TaskRow]) -> list[TaskRow]:
    return sorted(tasks, key=lambda task: task.order)


class Ledgers(RuleBasedStateMachine):
    """Every rule does the same to the model and to both ledgers; every invariant asks all three."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.names = 0
        self.houses = [house(kind, Path(self.folder.name)) for kind in KINDS]
        self.heard: list[list[Event]] = [[] for _ in KINDS]
        self.open()

    def open(self) -> None:
        self.ledgers: list[Ledger] = [home.ledger(blocking=in_line) for home in self.houses]
        for ledger, heard in zip(self.ledgers, self.heard, strict=True):
            self.runner.run(ledger.open())
            ledger.listener = heard.extend

    def all(self, act: Any) -> list[Any]:
        return [self.runner.run(act(ledger)) for ledger in self.ledgers]

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.all(lambda ledger: ledger.close())
            self.runner.close()
            self.folder.cleanup()

    def pick(self, data: st.DataObject, *, shown: bool = True) -> TaskRow:
        return data.draw(st.sampled_from(self.model.shown() if shown else list(self.model.rows.values())))

    # -- rules -----------------------------------------------------------------------------------------------------

    @rule(given=st.lists(st.tuples(KEYS, RUNS, ACCOUNTS, st.integers(-1, 1)), max_size=4), held=st.booleans())
    def add(self, given: list[tuple[str, int, str, int]], held: bool) -> None:
        tasks: list[TaskRow] = []
        for key, run, account, priority in given:
            self.names += 1
            tasks.append(row(f"t{self.names}", key=key, run=run, account=account, priority=priority))
        assert self.all(lambda ledger: ledger.add(tasks, held=held)) == [self.model.add(tasks, held)] * 2

    @rule(run=RUNS)
    def release(self, run: int) -> None:
        self.model.release(run)
        self.all(lambda ledger: ledger.release(run))

    @rule(run=st.none() | RUNS)
    def discard(self, run: int | None) -> None:
        self.model.discard(run)
        self.all(lambda ledger: ledger.discard(run))

    def changes(self, data: st.DataObject, number: int) -> list[Change]:
        """Changes one after the other, some of which say what was before."""
        rows = {task.id: task for task in self.model.shown()}
        made: list[Change] = []
        for _ in range(number):
            task = rows[self.pick(data).id]
            change = self.change(data, task) if data.draw(st.booleans()) else self.move(data, task)
            made.append(evolve(change, was=task) if data.draw(st.booleans()) else change)
            rows[task.id] = change.row
        return made

    def move(self, data: st.DataObject, task: TaskRow) -> Change:
        """What stands in columns changes, and nothing else."""
        draw = data.draw
        parked = draw(st.none() | st.sampled_from(Reason))
        return Change(
            row=evolve(task, state=draw(STATES), parked=parked, run=draw(RUNS), account=draw(ACCOUNTS)),
        )

    def change(self, data: st.DataObject, task: TaskRow) -> Change:
        draw = data.draw
        after = evolve(
            task,
            seq=task.seq + 1,
            state=draw(STATES),
            parked=draw(st.none() | st.sampled_from(Reason)),
            run=draw(RUNS),
            account=draw(ACCOUNTS),
            attempt=draw(st.integers(0, 2)),
            handle=draw(st.none() | st.fixed_dictionaries({"id": st.sampled_from([None, 1, "1", "v\ud800"])})),
            status=draw(st.none() | ledgers.anything_said),
            job=task.job
            if draw(st.booleans())
            else job(priority=draw(st.integers(-1, 1)), metadata=draw(ledgers.objects())),
        )
        first = intent(after, name=f"i{draw(st.integers(0, 3))}", ended=draw(st.none() | st.sampled_from([1.0, 5.0])))
        first = evolve(first, claim=draw(st.sampled_from(["", "project 7, full"])))
        made = charge(
            after,
            amount=draw(st.sampled_from(["0", "0.000000001", "9223372036.854775807", None])),
            id=f"c{draw(st.integers(0, 3))}",
            day=draw(st.sampled_from(["2026-11-20", "2026-11-21"])),
            state=draw(st.sampled_from(["reserved", "spent", "failed"])),
            unit=draw(st.sampled_from([None, "credits", "usd"])),
            usd=draw(st.sampled_from([None, Decimal("9223372036.854775807"), Decimal("0.1")])),
        )
        return Change(
            row=after,
            charge=draw(st.none() | st.just(made)),
            refunds=draw(st.none() | st.sampled_from(["c0", "c1", "c2", "c3"])),
            events=tuple(event(after, EventType.RETRYING, after.seq, n=n) for n in range(draw(st.integers(0, 2)))),
            intent=draw(st.none() | st.just(first)),
            opens=draw(st.none() | st.just(seat(after))),
            closes=draw(st.none() | st.sampled_from([task.seat, f"{task.id}:1"])),
        )

    @precondition(lambda self: self.model.shown())
    @rule(data=st.data(), number=st.integers(1, 3), fault=st.sampled_from([None, None, None, "stranger", "held"]))
    def commit(self, data: st.DataObject, number: int, fault: str | None) -> None:
        changes = self.changes(data, number)
        if fault == "stranger":
            changes.append(Change(row=row("nobody", order=self.model.last_task + 1)))
        elif fault == "held" and self.model.held:
            changes.append(Change(row=self.model.rows[min(self.model.held)]))
        outcomes = self.all(lambda ledger: self.outcome(ledger.commit(*changes)))
        try:
            self.model.commit(*changes)
        except LedgerError:
            assert outcomes == [LedgerError] * 2
        else:
            assert outcomes == [None] * 2

    @precondition(lambda self: len(self.model.shown()) > 1)
    @rule(data=st.data())
    def overlap(self, data: st.DataObject) -> None:
        """Several commits at once, one of them at fault."""
        batches = [(change,) for change in self.changes(data, 3)]
        batches.insert(1, (Change(row=row("nobody", order=99999)),))

        async def at_once(ledger: Ledger) -> list[type]:
            results = await asyncio.gather(*[ledger.commit(*batch) for batch in batches], return_exceptions=True)
            return [type(result) for result in results]

        none = type(None)
        assert self.all(at_once) == [[none, LedgerError, none, none]] * 2
        for batch in (batches[0], *batches[2:]):
            self.model.commit(*batch)

    @rule(run=RUNS, after=st.integers(0, 3), limit=st.integers(1, 4), before=RUNS, but=st.sets(KEYS))
    def take_over(self, run: int, after: int, limit: int, before: int, but: set[str]) -> None:
        names = [task.id for task in self.model.shown() if task.key in but]
        taken = self.all(
            lambda ledger: ledger.take_over(run, after, limit, before=before, accounts=["sync"], but=names)
        )
        assert taken == [self.model.take_over(run, after, limit, before, names)] * 2

    @staticmethod
    async def outcome(work: Any) -> object:
        try:
            return await work
        except LedgerError:
            return LedgerError

    @rule()
    def next_run(self) -> None:
        self.model.run += 1
        assert self.all(lambda ledger: ledger.next_run()) == [self.model.run] * 2

    @rule(verb=st.sampled_from(["cancel", "resubmit", "abandon"]), key=st.none() | KEYS)
    def place_order(self, verb: Any, key: str | None) -> None:
        self.model.asked += 1
        self.model.orders.append(Order(id=self.model.asked, verb=verb, key=key))
        self.all(lambda ledger: ledger.place_order(Order(verb=verb, key=key)))

    @rule()
    def take_orders(self) -> None:
        found, self.model.orders = self.model.orders, []
        assert self.all(lambda ledger: ledger.take_orders()) == [found] * 2

    @rule(digest=DIGESTS, at=st.floats(0, 9), account=ACCOUNTS)
    def keep_upload(self, digest: str, at: float, account: str) -> None:
        kept = upload(digest, at=at, account=account)
        self.model.uploads[account, digest] = kept
        self.all(lambda ledger: ledger.keep_upload(kept))

    @rule(digest=DIGESTS, account=ACCOUNTS)
    def forget_upload(self, digest: str, account: str) -> None:
        self.model.uploads.pop((account, digest), None)
        self.all(lambda ledger: ledger.forget_upload(account, digest))

    @rule(gates=ledgers.objects())
    def write_gates(self, gates: dict[str, Any]) -> None:
        self.model.gates = gates
        self.all(lambda ledger: ledger.write_gates(gates))

    @rule(crash=st.booleans())
    def reopen(self, crash: bool) -> None:
        for ledger in self.ledgers:
            if crash and isinstance(ledger, MemoryLedger):
                ledger.crash()
            self.runner.run(ledger.close())
        self.model.last_task = max(self.model.rows, default=0)
        self.model.discard(None)
        self.open()

    @invariant()
    def every_reading_agrees(self) -> None:
        wanted = self.model.view()
        for ledger, heard in zip(self.ledgers, self.heard, strict=True):
            found = self.runner.run(view(ledger, self.model))
            assert found == wanted
            assert heard == self.model.events
            assert ledger.last_order == len(heard)


async def view(ledger: Ledger, model: Model) -> dict[str, Any]:
    """All that a ledger can be asked; `Model.view` says the same of the model."""
    everyone = list(model.rows.values())
    start = model.first_rank()
    return {
        "tasks": by_order(await ledger.tasks([task.id for task in everyone])),
        "by_keys": by_order(await ledger.by_keys([task.key for task in everyone])),
        "all": await ledger.all_tasks(0, 99),
        "all, a page": await ledger.all_tasks(2, 3),
        "open": await ledger.open_tasks(0, 99),
        "open, some": await ledger.open_tasks(1, 3, account="sync", run=2),
        "queue": await ledger.queued("sync", 1, None, 99),
        "queue, a page": await ledger.queued("sync", 2, start, 2),
        "events": await ledger.events(0, 9999),
        "events, of a run": await ledger.events(3, 2, run=2),
        "events, of a task": await ledger.events(0, 9999, task="t1"),
        "seats": {found.id: found for found in await ledger.seats()},
        "intents": {found.id: found for found in await ledger.intents("sync", 1.0)},
        "recent": await ledger.recent("sync", 3),
        "adopted": [await ledger.adopted(account, name) for account, name in VENDOR_IDS],
        "counts": await ledger.counts(),
        "spending": await ledger.spending(),
        "spending, of late": await ledger.spending("2026-11-21"),
        "uploads": [await ledger.upload("sync", digest) for digest in ("d1", "d2")],
        "gates": await ledger.gates(),
    }


Ledgers.TestCase.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestBothLedgersKeepToTheModel = Ledgers.TestCase
