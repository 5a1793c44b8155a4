"""The engine's middle: takes tasks in, sends each where its last step says, and lets go of them when a run ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial

from anyio import Lock
from attrs import Factory, define, field

from viseme.attempts import TaskRow
from viseme.engine.downloads.fetching import Fetcher
from viseme.engine.journal import Journal, follow_task
from viseme.engine.lifecycle.book import Book
from viseme.engine.lifecycle.pages import rank_of
from viseme.engine.lifecycle.signals import Called, Parks, Reopened, Resumed, Signal, Unsettled
from viseme.engine.lifecycle.steps import Next, Policy, Step
from viseme.engine.money.cashier import Cashier
from viseme.engine.money.estimating import Estimator
from viseme.engine.money.till import Till
from viseme.engine.office import Office
from viseme.engine.results_file import ResultsFile
from viseme.engine.runs import Runs
from viseme.engine.task import Why
from viseme.engine.world import World
from viseme.errors import VisemeError
from viseme.events import LAST, Event
from viseme.ledger.base import UNDER_WAY, Ledger, TakenOver
from viseme.providers.base import Answer, Refused
from viseme.results import ENDED, UNSETTLED, Reason, Result, State

__all__ = ["Again", "Core"]

_PAGE = 500


@define(frozen=True)
class Again:
    """What a run does with jobs that an earlier one ended.

    Attributes:
        failed: create failed ones anew.
        redo: keys to create, and pay for, anew whatever became of them.
    """

    failed: bool = False
    redo: frozenset[str] = frozenset()


def _open_handed(core: Core) -> Cashier:
    """A cashier without budgets."""
    return Cashier(core.world, Till(), Estimator({}), {})


@define(eq=False, repr=False)
class Core:
    """Holds the parts together; the tasks of all runs pass here."""

    world: World
    ledger: Ledger
    journal: Journal
    results: ResultsFile
    offices: Mapping[str, Office] = field(factory=dict[str, Office])
    called_off: set[str] = field(factory=set[str])
    cashier: Cashier = field(default=Factory(_open_handed, takes_self=True), kw_only=True)
    on_result: Callable[[], None] = field(default=lambda: None)
    runs: Runs = field(factory=Runs, init=False)
    book: Book = field(init=False)
    fetcher: Fetcher = field(init=False)
    _parking: Lock = field(factory=Lock)
    _policies: dict[object, Policy] = field(factory=dict[object, Policy])
    """What was found to be allowed for tasks with the same stages that stand at the same one of the same accounts."""

    def __attrs_post_init__(self) -> None:
        self.book = Book(self.world, self.ledger, self.journal, self.policy, self.dispatch)

    def policy(self, row: TaskRow) -> Policy:
        """What the user allows for a task."""
        office = self.offices.get(row.account)
        if office is None:
            return Policy()
        stages = office.desk.provider.stages(row.job)
        kind = row.account, stages, row.job.account, row.leg
        policy = self._policies.get(kind)
        if policy is None:
            policy = self._policies[kind] = self._policy(office, stages, row.job.route[row.leg + 1 :])
        return policy

    def _policy(self, office: Office, stages: tuple[str, ...], rest: tuple[str, ...]) -> Policy:
        account = office.desk.account
        return Policy(
            attempts=account.attempts,
            pay_again=account.pay_again,
            on_unknown_fate=account.on_unknown_fate,
            stages=stages,
            free=office.desk.provider.sheet.free_stages,
            others=tuple(name for name in rest if name in self.offices),
        )

    # -- after each step -------------------------------------------------------------------------------------------

    def dispatch(self, step: Step) -> None:
        """Send a task where its step says."""
        row = step.row
        if self.cashier.till.limited:
            self.cashier.follow(row, step.ends, step.charge)
        office = self.offices.get(row.account)
        if step.closes:
            was_at = office if step.left is None else self.offices.get(step.left)
            if was_at is not None:
                was_at.desk.pool.seats.give_back(step.closes)
        if step.left is not None:
            self._moved(row, step.left)
        if office is not None:
            self._forward(office, step)
            office.creator.follow(row)
        if step.events and step.events[-1][0] in LAST:
            self.results.add(row)
            self.on_result()
            self.runs.ended(row)

    def _moved(self, row: TaskRow, left: str) -> None:
        """A task goes on at another account."""
        self.offices[left].creator.moved_away(row)
        self.runs.moved(row, left)

    def _forward(self, office: Office, step: Step) -> None:
        row = step.row
        match step.next:  # in the order in which they are most often met
            case Next.NOTHING:
                if row.state is State.WAITING or row.state in ENDED:
                    self._watch_seat(office, row)
            case Next.WATCH:
                office.hub.watch(row)
            case Next.FETCH:
                begins = bool(step.events)  # else it was taken up again
                self.fetcher.put(row, fresh=begins and not row.tries)
            case Next.CREATE if row.handles:
                office.creator.goes_on(row)
            case Next.CREATE:
                office.creator.arrived(rank_of(row))
            case Next.REFRESH:
                office.hub.watch(row, now=True)
            case Next.RECONCILE:
                office.reconciler.put(row.id)
            case Next.KEEP:
                pass

    def _watch_seat(self, office: Office, row: TaskRow) -> None:
        """Nobody waits for the task, but its job may hold a seat at the vendor: go on looking, now and then."""
        watch = office.hub.find(row.id)
        holds = office.desk.pool.seats.holds(row.seat)
        if holds and row.handle is not None and (watch is None or not watch.background):
            office.hub.watch(row, background=True)
        elif watch is not None and not holds:
            office.hub.forget(row.id)

    # -- taking tasks in -------------------------------------------------------------------------------------------

    def queued(self, rows: Iterable[TaskRow]) -> None:
        """Tasks were added."""
        added: dict[str, list[TaskRow]] = {}
        for row in sorted(rows, key=rank_of):
            added.setdefault(row.account, []).append(row)
        for account, its_own in added.items():
            self.offices[account].creator.added(its_own)

    def released(self) -> None:
        """Tasks that were held back can be seen."""
        for office in self.offices.values():
            office.creator.arrived()

    async def take_over(self, run: int, after: int, limit: int) -> TakenOver:
        """Let a run have what dead ones left under way, of the next open tasks; it shall ``attach`` them then."""
        return await self.book.take_over(run, after, limit, list(self.offices))

    async def attach(self, tasks: Sequence[str], run: int) -> None:
        """Go on with tasks that a run has taken over, as far as they are still under way."""

        def under_way(row: TaskRow) -> bool:
            return row.run == run and row.state in UNDER_WAY and not row.parked

        _, busy = await self.book.write_idle(tasks, Resumed(run), where=under_way, patient=True)
        await self.book.write_busy(busy, Resumed(run), where=under_way)

    async def take_up(self, task: str, run: int, again: Again) -> TaskRow | None:
        """Go on with a task that the ledger knows already.

        Returns:
            its row if there is nothing to do (its last event is told once more), None if it is under way.
        """
        if self.book.busy(task) and await self._share(task, run):
            return None
        async with self.book.hold(task) as hold:
            row = hold.row
            if self.runs.driven(row):
                self.runs.share(task, run)
                return None
            signal = await self._how(row, run, again)
            if signal is None or await hold.take(signal) is None:
                return row
            if row.key in again.redo and hold.row.state in UNSETTLED:
                await hold.take(Unsettled("a person ordered it to be paid for anew", "resubmit"))
            return None

    async def take_up_all(self, tasks: Sequence[str], run: int, again: Again) -> list[TaskRow]:
        """The same for many tasks; those that are open and that nobody has go on with one commit.

        Returns:
            the rows of those with which there is nothing to do.
        """
        gone_on: set[str] = set()

        def goes_on(row: TaskRow) -> bool:
            if row.state in ENDED or row.key in again.redo or self.runs.driven(row):
                return False
            gone_on.add(row.id)
            return True

        await self.book.write_idle(tasks, Resumed(run), where=goes_on, patient=True)
        done: list[TaskRow] = []
        for task in tasks:
            if task in gone_on:
                gone_on.remove(task)  # who names it a second time shares it
            elif (row := await self.take_up(task, run, again)) is not None:
                done.append(row)
        return done

    async def _share(self, task: str, run: int) -> bool:
        """Let a run hear the end of a task that another run drives; False if nobody drives it."""
        self.runs.share(task, run)
        driven = self.runs.driven(await self.book.look(task))
        return driven or not self.runs.unshare(task, run)  # or its end came meanwhile, and the run was told

    async def _how(self, row: TaskRow, run: int, again: Again) -> Signal | None:
        if row.state not in ENDED:
            return Resumed(run)
        if row.key in again.redo or (row.state is State.FAILED and again.failed):
            return Reopened(run, create=True)
        if row.state is State.SUCCEEDED and row.file is not None:
            path = row.file
            size = await self.world.blocking(lambda: self.world.disk.size(path))
            if size != row.bytes:
                return Reopened(run)
        return None

    # -- letting go ------------------------------------------------------------------------------------------------

    async def park_run(self, number: int) -> None:
        """Park what is open of a run; a later one goes on."""
        async with self._parking:  # a run that is left and the scheduler that closes may both come
            await self._park_run(number)

    async def _park_run(self, number: int) -> None:
        def open_still(row: TaskRow) -> bool:
            return row.run == number and not row.parked and row.state not in ENDED

        after, stop = 0, Parks(Reason.STOPPED)
        while rows := await self.book.open_tasks(after, _PAGE, run=number):
            after = rows[-1].order
            accounts = {row.id: row.account for row in rows}
            _, busy = await self.book.write_idle(list(accounts), stop, where=open_still)
            for task in busy:
                self._withdraw(task, accounts[task])
            await self.book.write_busy(busy, stop, where=open_still)

    def _withdraw(self, task: str, account: str) -> None:
        """Whoever works on the task lets go of it as soon as nothing is lost by that."""
        office = self.offices.get(account)
        if office is not None:
            office.creator.withdraw(task)
            office.reconciler.withdraw(task)
        self.fetcher.withdraw(task)

    # -- what users ask of one task ----------------------------------------------------------------------------------

    def task_events(self, task: str) -> AsyncIterator[Event]:
        """A task's events in this run."""
        return follow_task(self.journal, task, active=partial(self._under_way, task))

    async def _under_way(self, task: str, newest: Event | None) -> bool:
        row = await self.book.look(task)
        if newest is not None and row.seq < newest.seq:  # a step that is told of, and not yet in the book
            return not newest.last
        return row.state not in ENDED and not row.parked

    async def task_result(self, task: str) -> Result:
        """A task's record as it stands."""
        return (await self.ledger.tasks([task]))[0].result()

    async def why(self, task: str) -> Why:
        """What a task waits for."""
        row = await self.book.look(task)
        return self.offices[row.account].why(row)

    async def cancel(self, task: str) -> None:
        """Call a task off: here at once, at the vendor where it can be."""
        if self.journal.closed is not None:
            raise self.journal.closed
        row = (await self.ledger.tasks([task]))[0]
        office = self.offices.get(row.account)
        if office is None:
            raise VisemeError(
                f"account {row.account!r} of task {row.key!r} is not configured; add it to cancel the task"
            )
        self.call_off(task, row.account)
        try:
            async with self.book.hold(task) as hold:
                if hold.row.state not in ENDED:
                    fetched = hold.row.state is State.FETCHING
                    if hold.row.parked:
                        self.runs.reopened(hold.row)
                    await hold.take(Called(await self._cancel_remotely(office, hold.row)))
                    if fetched:
                        await self.fetcher.discard(hold.row)
        finally:
            self.called_off.discard(task)

    def call_off(self, task: str, account: str) -> None:
        """From now on nothing of a task is bought that was not bought before; it is then cancelled."""
        self.called_off.add(task)
        self._withdraw(task, account)

    async def _cancel_remotely(self, office: Office, row: TaskRow) -> Answer | None:
        if row.handle is None or row.state is not State.WAITING:
            return None
        try:
            return await office.desk.courier.run(office.desk.provider.cancel(row.handle))
        except Refused as refusal:
            return Answer(outcome="unsupported", message=f"the vendor refused to cancel: {refusal.verdict.message}")

    async def decide(self, task: str, order: str) -> None:
        """A person decided what to do about a fate that stays unknown."""
        office = self.offices.get((await self.book.look(task)).account)
        if office is not None:
            office.reconciler.withdraw(task)
        async with self.book.hold(task) as hold:
            if hold.row.state in UNSETTLED:
                if hold.row.parked:
                    self.runs.reopened(hold.row)
                await hold.take(Unsettled(f"a person ordered viseme to {order} it", order))
