"""What every ledger keeps, in the file and in memory alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import evolve
from tests.unit.ledgers import KINDS, House, charge, creating, event, house, intent, job, moved, row, seat, upload

from viseme.attempts import TaskRow
from viseme.errors import LedgerBusy, LedgerError
from viseme.events import Event, EventType
from viseme.ledger import Change, Count, Ledger, Order
from viseme.ledger.base import TakenOver
from viseme.money import Spending
from viseme.results import Reason, State


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return house(request.param, tmp_path)


@pytest.fixture
async def ledger(home: House) -> AsyncIterator[Ledger]:
    async with home.ledger() as opened:
        yield opened


async def names(ledger: Ledger, account: str = "sync", run: int = 1) -> list[str]:
    return [task.id for task in await ledger.queued(account, run, None, 100)]


async def test_a_new_task_gets_its_order_and_its_queued_event(ledger: Ledger) -> None:
    heard: list[Event] = []
    ledger.listener = heard.extend
    one, two = await ledger.add([row("a"), row("b", job=job(model="lipsync-2"))])
    assert (one.order, one.seq, two.order) == (1, 1, 2)
    assert await ledger.tasks(["b", "a", "c"]) in ([one, two], [two, one])
    assert [(e.order, e.seq, e.type, e.task, e.key, e.run, e.at) for e in heard] == [
        (1, 1, EventType.QUEUED, "a", "key-a", 1, 1000.0),
        (2, 1, EventType.QUEUED, "b", "key-b", 1, 1000.0),
    ]
    assert heard[1].data == {"account": "sync", "model": "lipsync-2"}
    assert await ledger.events(0, 10) == heard
    assert ledger.last_order == 2


async def test_a_known_key_gives_the_older_row_as_it_stands(ledger: Ledger) -> None:
    (old,) = await ledger.add([row("a")])
    change = moved(old, EventType.FAILED, state=State.FAILED)
    await ledger.commit(change)
    found = await ledger.add([row("b", key=old.key), row("c"), row("d", key="key-c")])
    assert found[0] == change.row
    assert found[1].id == found[2].id == "c"
    assert [task.id for task in await ledger.all_tasks(0, 10)] == ["a", "c"]
    assert [e.task for e in await ledger.events(0, 10)] == ["a", "a", "c"]


async def test_a_held_key_of_the_same_run_is_known_too(ledger: Ledger) -> None:
    await ledger.add([row("a")], held=True)
    (found,) = await ledger.add([row("b", key="key-a")], held=True)
    assert found.id == "a"
    await ledger.release(1)
    assert await names(ledger) == ["a"]


async def test_adding_nothing_gives_nothing(ledger: Ledger) -> None:
    assert await ledger.add([]) == []
    await ledger.commit()


async def test_many_tasks_are_added_in_order(ledger: Ledger) -> None:
    found = await ledger.add([row(f"t{i}", key=f"k{i % 400}") for i in range(700)])
    assert [task.order for task in found] == [*range(1, 401), *range(1, 301)]
    assert [task.id for task in await ledger.all_tasks(398, 10)] == ["t398", "t399"]
    assert len(await ledger.tasks([task.id for task in found])) == 400


async def test_an_id_is_used_once(ledger: Ledger) -> None:
    await ledger.add([row("a")])
    with pytest.raises(LedgerError):
        await ledger.add([row("b"), row("a", key="other")])
    with pytest.raises(LedgerError):
        await ledger.add([row("c", key="one"), row("c", key="two")])
    assert [task.id for task in await ledger.all_tasks(0, 10)] == ["a"]
    assert ledger.last_order == 1


async def test_held_tasks_are_out_of_sight_until_their_run_is_released(ledger: Ledger) -> None:
    heard: list[Event] = []
    ledger.listener = heard.extend
    held = await ledger.add([row("a", run=2), row("b", run=2)], held=True)
    await ledger.add([row("c", run=3)], held=True)
    await ledger.add([row("d", run=2)])
    assert [e.task for e in heard] == ["d"]
    assert await names(ledger) == ["d"]
    for found in (await ledger.open_tasks(0, 9), await ledger.all_tasks(0, 9)):
        assert [task.id for task in found] == ["d"]
    assert [e.task for e in await ledger.events(0, 9)] == ["d"]
    assert sum(count.tasks for count in await ledger.counts()) == 1
    assert await ledger.by_keys(["key-a"]) == held[:1]
    await ledger.release(2)
    assert await names(ledger) == ["a", "b", "d"]
    assert [task.id for task in await ledger.open_tasks(0, 9)] == ["a", "b", "d"]
    assert [(e.task, e.order, e.seq) for e in heard] == [("d", 1, 1), ("a", 2, 1), ("b", 3, 1)]
    assert await ledger.events(0, 9) == heard
    assert ledger.last_order == 3


async def test_a_large_release_is_told_whole_and_in_order(ledger: Ledger) -> None:
    await ledger.add([row(f"t{i}") for i in range(2500)], held=True)
    told: list[list[Event]] = []
    ledger.listener = lambda events: told.append(list(events))
    await ledger.release(1)
    flat = [e for chunk in told for e in chunk]
    assert [e.order for e in flat] == list(range(1, 2501))
    assert [e.task for e in flat] == [f"t{i}" for i in range(2500)]
    assert max(map(len, told)) <= 1000
    assert ledger.last_order == 2500


async def test_releasing_nothing_tells_nothing(ledger: Ledger) -> None:
    heard: list[Event] = []
    ledger.listener = heard.extend
    await ledger.release(5)
    assert (heard, ledger.last_order) == ([], 0)


async def test_discarded_tasks_were_never_added(ledger: Ledger) -> None:
    await ledger.add([row("a", run=1), row("b", run=2)], held=True)
    await ledger.discard(1)
    assert await ledger.tasks(["a", "b"]) == await ledger.by_keys(["key-b"])
    (again,) = await ledger.add([row("c", key="key-a")])
    assert again.id == "c"
    await ledger.discard()
    await ledger.release(2)
    assert await names(ledger) == ["c"]


async def test_discard_leaves_released_tasks_alone(ledger: Ledger) -> None:
    await ledger.add([row("a")], held=True)
    await ledger.release(1)
    await ledger.discard(1)
    await ledger.discard()
    assert await names(ledger) == ["a"]


async def test_what_a_crashed_run_held_is_gone_when_the_next_owner_opens(home: House) -> None:
    async with home.ledger() as first:
        await first.add([row("a")], held=True)
        await first.add([row("b")])
    async with home.ledger() as second:
        await second.release(1)
        assert [task.id for task in await second.all_tasks(0, 9)] == ["b"]
        assert await second.tasks(["a"]) == []


async def test_a_commit_writes_row_events_intent_and_seat(ledger: Ledger) -> None:
    heard: list[Event] = []
    (task,) = await ledger.add([row("a")])
    ledger.listener = heard.extend
    change = creating(task)
    await ledger.commit(change)
    assert await ledger.tasks(["a"]) == [change.row]
    assert [(e.type, e.seq, e.order) for e in heard] == [(EventType.CREATING, 2, 2)]
    assert await ledger.events(1, 9) == heard
    assert await ledger.seats() == [seat(change.row)]
    assert await ledger.intents("sync", 0) == [intent(task)]


async def test_the_tasks_of_the_newest_creates_are_found_in_the_order_in_which_the_creates_ended(
    ledger: Ledger,
) -> None:
    added = await ledger.add([row(name) for name in "abcde"] + [row("other", account="jogg")])
    a, b, c, d, e, other = added
    lasted = evolve(creating(c), intent=intent(c, ended=1004.0))
    lasted = evolve(lasted, row=evolve(lasted.row, lasted={"media": 3.5, "generate": 61.25}, seconds=12.5))
    await ledger.commit(
        evolve(creating(a), intent=intent(a, ended=1009.0)),
        evolve(creating(a), intent=intent(a, name="a:2:generate", ended=1003.0)),
        evolve(creating(b), intent=intent(b, ended=1001.0)),
        lasted,
        evolve(creating(d), intent=intent(d, ended=1002.0)),
        creating(e),
        evolve(creating(other), intent=intent(other, ended=1005.0)),
    )
    assert [task.id for task in await ledger.recent("sync", 9)] == ["b", "d", "c", "a"]
    assert [task.id for task in await ledger.recent("sync", 3)] == ["c", "a"]
    assert await ledger.recent("sync", 0) == await ledger.recent("rask", 9) == []
    assert (await ledger.recent("sync", 2))[0] == lasted.row


async def test_a_later_change_wins_and_seats_close(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    first = creating(task)
    done = intent(task, ended=1002.0)
    second = evolve(moved(first.row, EventType.CREATED, state=State.WAITING, handle={"id": "v1"}), intent=done)
    third = evolve(moved(second.row, EventType.FAILED, state=State.FAILED), closes=first.row.seat)
    await ledger.commit(first, second, third)
    assert await ledger.tasks(["a"]) == [third.row]
    assert await ledger.seats() == []
    assert await ledger.intents("sync", 1001.5) == [done]
    assert await ledger.intents("sync", 1002.0) == []
    assert [e.type for e in await ledger.events(0, 9)] == ["queued", "creating", "created", "failed"]


async def test_what_a_task_has_in_common_with_what_it_was_stays(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    said = evolve(task, status="done?", handle={"id": "v"}, job=job(output="other.mp4"))
    await ledger.commit(Change(row=said, was=task))
    moved_on = evolve(said, run=2, account="jogg", state=State.WAITING, parked=Reason.STOPPED)
    await ledger.commit(Change(row=moved_on, was=said))
    assert await ledger.tasks(["a"]) == [moved_on]
    assert await ledger.adopted("sync", "v") == "a"
    assert await ledger.adopted("jogg", "v") == "a"
    again = evolve(moved_on, parked=None, run=3)
    await ledger.commit(Change(row=again, was=moved_on))
    assert await ledger.tasks(["a"]) == [again]


async def test_a_change_that_only_moves_a_task_keeps_what_the_one_before_it_wrote(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    said = evolve(task, status="done?")
    await ledger.commit(Change(row=said, was=task), Change(row=evolve(said, run=2), was=said))
    assert await ledger.tasks(["a"]) == [evolve(said, run=2)]
    await asyncio.gather(
        ledger.commit(Change(row=evolve(task, run=3), was=evolve(said, run=2))),
        ledger.commit(Change(row=evolve(task, run=4), was=evolve(task, run=3))),
    )
    assert await ledger.tasks(["a"]) == [evolve(task, run=4)]


async def test_a_seat_taken_anew_is_open_with_its_newest_end(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    first = creating(task)
    longer = evolve(seat(first.row), until=99999.0)
    await ledger.commit(first, Change(row=first.row, closes=longer.id), Change(row=first.row, opens=longer))
    assert await ledger.seats() == [longer]
    await ledger.commit(Change(row=first.row, closes=longer.id, opens=evolve(longer, id="a:2")))
    assert [open_seat.id for open_seat in await ledger.seats()] == ["a:2"]


async def test_a_commit_is_all_or_nothing(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    heard: list[Event] = []
    ledger.listener = heard.extend
    with pytest.raises(LedgerError, match="nobody"):
        await ledger.commit(creating(task), moved(row("nobody", order=99), EventType.FAILED))
    assert await ledger.tasks(["a"]) == [task]
    assert (heard, await ledger.seats(), await ledger.intents("sync", 0)) == ([], [], [])
    assert ledger.last_order == 1


async def test_a_change_to_a_task_that_was_never_added_or_is_held_is_refused(ledger: Ledger) -> None:
    (held,) = await ledger.add([row("a")], held=True)
    for stranger in (row("x"), row("x", order=1), held):
        with pytest.raises(LedgerError, match="add it first"):
            await ledger.commit(moved(stranger, EventType.FAILED, state=State.FAILED))
    await ledger.release(1)
    assert await names(ledger) == ["a"]


async def test_a_value_that_is_no_json_is_refused_and_harms_nobody(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    with pytest.raises(LedgerError, match="JSON"):
        await ledger.commit(moved(task, EventType.CREATED, handle={"id": object()}))
    assert await ledger.tasks(["a"]) == [task]


async def test_a_row_keeps_a_new_job_and_its_place_in_the_queue_follows(ledger: Ledger) -> None:
    one, _ = await ledger.add([row("a"), row("b", priority=1)])
    assert await names(ledger) == ["b", "a"]
    better = evolve(one, job=job(priority=2, output="other.mp4"), digest="e" * 64)
    await ledger.commit(Change(row=better))
    assert await names(ledger) == ["a", "b"]
    assert await ledger.tasks(["a"]) == [better]
    await ledger.commit(Change(row=evolve(better, status="SEEN")))
    assert (await ledger.tasks(["a"]))[0].job == better.job
    await ledger.commit(Change(row=one))
    assert await ledger.tasks(["a"]) == [one]


async def test_the_queue_goes_by_priority_then_order_in_pages(ledger: Ledger) -> None:
    tasks = await ledger.add([row(f"t{i}", priority=i % 3 - 1) for i in range(9)])
    whole = [task.id for task in sorted(tasks, key=lambda task: (-task.job.priority, task.order))]
    assert await names(ledger) == whole
    pages: list[str] = []
    after = None
    while page := await ledger.queued("sync", 1, after, 2):
        pages += [task.id for task in page]
        after = (-page[-1].job.priority, page[-1].order)
    assert pages == whole


async def test_the_queue_knows_account_run_state_and_parking(ledger: Ledger) -> None:
    found = await ledger.add(
        [
            row("old", run=1),
            row("now", run=2),
            row("new", run=3),
            row("else", run=2, account="jogg"),
            row("off"),
            row("on"),
        ]
    )
    await ledger.commit(Change(row=evolve(found[4], parked=Reason.STOPPED, run=2)))
    await ledger.commit(Change(row=evolve(found[5], state=State.PREPARING, run=2)))
    assert await names(ledger, run=2) == ["now", "new"]
    assert await names(ledger, account="jogg") == ["else"]
    await ledger.commit(Change(row=evolve(found[0], account="jogg", run=4)))
    assert await names(ledger, account="jogg", run=4) == ["old"]


async def test_priorities_beyond_any_column_are_kept(ledger: Ledger) -> None:
    await ledger.add([row("low", priority=-(10**30)), row("none"), row("high", priority=10**30)])
    first, second, third = await ledger.queued("sync", 1, None, 9)
    assert [first.id, second.id, third.id] == ["high", "none", "low"]
    assert first.job.priority == 10**30
    assert await ledger.queued("sync", 1, (-first.job.priority, first.order), 9) == [second, third]


async def test_open_tasks_are_those_that_have_not_ended(ledger: Ledger) -> None:
    found = await ledger.add([row(f"t{i}", run=1 + i % 2, account="sync" if i < 4 else "jogg") for i in range(6)])
    await ledger.commit(
        Change(row=evolve(found[0], state=State.SUCCEEDED)),
        Change(row=evolve(found[1], parked=Reason.DEADLINE)),
        Change(row=evolve(found[2], state=State.CANCELLED, parked=None)),
    )

    def ids(tasks: list[TaskRow]) -> list[str]:
        return [task.id for task in tasks]

    assert ids(await ledger.open_tasks(0, 9)) == ["t1", "t3", "t4", "t5"]
    assert ids(await ledger.open_tasks(found[1].order, 2)) == ["t3", "t4"]
    assert ids(await ledger.open_tasks(0, 9, account="jogg")) == ["t4", "t5"]
    assert ids(await ledger.open_tasks(0, 9, run=2)) == ["t1", "t3", "t5"]
    assert ids(await ledger.open_tasks(0, 9, account="sync", run=1)) == []
    assert ids(await ledger.all_tasks(4, 9)) == ["t4", "t5"]


async def test_what_dead_runs_left_under_way_is_taken_over(ledger: Ledger) -> None:
    rows = await ledger.add([row(f"t{number}", run=1 + number % 2) for number in range(4)])
    await ledger.add([row("held", run=1)], held=True)
    others = await ledger.add([row(name, run=1) for name in ("queued", "prepared", "parked", "over", "busy")])
    others += await ledger.add([row("elsewhere", run=1, account="jogg"), row("alive", run=3)])
    states = {"queued": State.QUEUED, "prepared": State.PREPARING, "over": State.SUCCEEDED}
    others = [evolve(one, state=states.get(one.id, State.WAITING)) for one in others]
    others = [evolve(one, parked=Reason.STOPPED if one.id == "parked" else None) for one in others]
    under_way = [State.CREATING, State.RECONCILING, State.WAITING, State.FETCHING]
    rows = [evolve(one, state=state) for one, state in zip(rows, under_way, strict=True)]
    await ledger.commit(*(Change(row=one) for one in (*rows, *others)))
    before = ledger.last_order
    taken = await ledger.take_over(4, 0, 99, before=3, accounts=["sync", "rask"], but=["busy", "nobody"])
    assert taken == TakenOver(last=others[-1].order, tasks={"sync": 4})
    found = {one.id: one for one in await ledger.all_tasks(0, 99)}
    assert [found[one.id] for one in rows] == [evolve(one, run=4) for one in rows]
    assert [found[one.id] for one in others] == others
    assert sorted(one.id for one in await ledger.open_tasks(0, 99, run=4)) == ["t0", "t1", "t2", "t3"]
    assert sum(count.tasks for count in await ledger.counts(4)) == 4
    assert ledger.last_order == before
    await ledger.release(1)
    assert (await ledger.tasks(["held"]))[0].run == 1


async def test_tasks_are_taken_over_in_lots_of_open_ones(ledger: Ledger) -> None:
    rows = await ledger.add([row(f"t{number}", account="sync" if number % 2 else "jogg") for number in range(7)])
    ended = {1, 2, 4}
    await ledger.commit(
        *(Change(row=evolve(one, state=State.FAILED if number in ended else State.WAITING))
          for number, one in enumerate(rows))
    )  # fmt: skip
    after, lots = 0, list[TakenOver]()
    while True:
        lot = await ledger.take_over(2, after, 2, before=2, accounts=["sync", "jogg"])
        if lot.last is None:
            break
        lots.append(lot)
        after = lot.last
        assert {one.run for one in await ledger.open_tasks(after, 9)} <= {1}
    assert lots == [
        TakenOver(last=rows[3].order, tasks={"sync": 1, "jogg": 1}),
        TakenOver(last=rows[6].order, tasks={"sync": 1, "jogg": 1}),
    ]
    assert lot == TakenOver()


async def test_every_vendor_id_is_found_whatever_became_of_its_task(ledger: Ledger) -> None:
    one, two = await ledger.add([row("a"), row("b")])
    media = moved(one, EventType.CREATED, handle={"id": "media-1"})
    project = moved(media.row, EventType.CREATED, handle={"id": 77}, handles={"media": {"id": "media-1"}})
    failed = moved(project.row, EventType.FAILED, state=State.FAILED, handle=None)
    await ledger.commit(media)
    await ledger.commit(project, failed)
    await ledger.commit(moved(two, EventType.CREATED, handle={"id": "media-1"}))
    await ledger.commit(moved(two, EventType.CREATED, handle={"id": None}))
    assert await ledger.adopted("sync", "media-1") == "a"
    assert await ledger.adopted("sync", "77") == "a"
    assert await ledger.adopted("jogg", "77") is None
    assert await ledger.adopted("sync", "None") is None


async def test_what_an_intent_pays_for_finds_the_task_that_did_so_last(ledger: Ledger) -> None:
    one, two = await ledger.add([row("a"), row("b")])
    for task in (one, two):
        await ledger.commit(Change(row=task, intent=evolve(intent(task), claim="project 7, full, v\ud800")))
    closed = evolve(intent(one), claim="project 7, full, v\ud800", ended=1.0)
    await ledger.commit(Change(row=evolve(one, state=State.FAILED), intent=closed))
    assert await ledger.adopted("sync", "project 7, full, v\ud800") == "b"
    assert await ledger.adopted("jogg", "project 7, full, v\ud800") is None
    assert await ledger.adopted("sync", "") is None


async def test_a_handle_with_words_that_are_no_unicode_is_kept(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    change = moved(task, EventType.CREATED, handle={"id": "v\ud800", "n": 10**40}, status="\udfff")
    await ledger.commit(change)
    assert await ledger.tasks(["a"]) == [change.row]
    assert await ledger.adopted("sync", "v\ud800") == "a"


async def test_events_are_read_by_task_and_by_run(ledger: Ledger) -> None:
    one, two = await ledger.add([row("a", run=1), row("b", run=2)])
    await ledger.commit(moved(two, EventType.PREPARING))
    await ledger.commit(moved(one, EventType.PREPARING, run=2))

    async def read(**given: object) -> list[tuple[int | None, str]]:
        return [(e.order, e.task) for e in await ledger.events(**{"after": 0, "limit": 9, **given})]  # type: ignore[arg-type]

    assert await read() == [(1, "a"), (2, "b"), (3, "b"), (4, "a")]
    assert await read(task="a") == [(1, "a"), (4, "a")]
    assert await read(run=2) == [(2, "b"), (3, "b"), (4, "a")]
    assert await read(run=2, task="a") == [(4, "a")]
    assert await read(run=2, after=2, limit=1) == [(3, "b")]
    assert await read(task="nobody") == []


async def test_several_events_of_one_change_keep_their_order(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    after = evolve(task, seq=3)
    kinds = (EventType.RETRYING, EventType.CREATING)
    await ledger.commit(Change(row=after, events=tuple(event(after, kind, 2 + n) for n, kind in enumerate(kinds))))
    assert [(e.order, e.type) for e in await ledger.events(1, 9)] == [(2, "retrying"), (3, "creating")]


async def test_counts_say_how_many_stand_where(ledger: Ledger) -> None:
    a, b, _, _ = await ledger.add([row("a"), row("b"), row("c", run=2), row("d", account="jogg")])
    await ledger.commit(Change(row=evolve(a, parked=Reason.STOPPED)), Change(row=evolve(b, state=State.SUCCEEDED)))
    assert await ledger.counts() == [
        Count(account="jogg", state=State.QUEUED, parked=None, tasks=1),
        Count(account="sync", state=State.QUEUED, parked=None, tasks=1),
        Count(account="sync", state=State.QUEUED, parked=Reason.STOPPED, tasks=1),
        Count(account="sync", state=State.SUCCEEDED, parked=None, tasks=1),
    ]
    assert await ledger.counts(2) == [Count(account="sync", state=State.QUEUED, parked=None, tasks=1)]


async def test_a_run_number_is_given_once_for_ever(home: House) -> None:
    async with home.ledger() as first:
        assert [await first.next_run(), await first.next_run()] == [1, 2]
    async with home.ledger() as second:
        assert await second.next_run() == 3


async def test_orders_come_once_in_the_order_they_were_placed(home: House, ledger: Ledger) -> None:
    async with home.ledger(read_only=True) as outside:
        await outside.place_order(Order(verb="cancel"))
        await outside.place_order(Order(verb="resubmit", key="k"))
    await ledger.place_order(Order(verb="abandon", key="é"))
    taken = await ledger.take_orders()
    assert [(order.verb, order.key) for order in taken] == [("cancel", None), ("resubmit", "k"), ("abandon", "é")]
    assert [order.id for order in taken] == [1, 2, 3]
    assert await ledger.take_orders() == []
    await ledger.place_order(Order(verb="cancel"))
    assert [order.id for order in await ledger.take_orders()] == [4]


async def test_an_order_without_an_owner_waits_for_one(home: House) -> None:
    async with home.ledger():
        pass
    async with home.ledger(read_only=True) as outside:
        await outside.place_order(Order(verb="cancel", key="k"))
    async with home.ledger() as owner:
        assert [order.key for order in await owner.take_orders()] == ["k"]


async def test_gates_show_what_the_owner_last_wrote(home: House, ledger: Ledger) -> None:
    assert await ledger.gates() == {}
    await ledger.write_gates({"sync": {"gate": "seat", "at": 5.5}})
    await ledger.write_gates({"jogg": {"gate": "rate", "at": 6.5}})
    async with home.ledger(read_only=True) as outside:
        assert await outside.gates() == {"jogg": {"gate": "rate", "at": 6.5}}


async def test_everything_is_there_for_the_next_owner(home: House) -> None:
    async with home.ledger() as first:
        a, b = await first.add([row("a"), row("b", job=job(options={"n": [1, 2.5]}, metadata={"é": None}))])
        change = creating(a)
        await first.commit(change)
        heard = await first.events(0, 9)
    async with home.ledger() as second:
        assert second.last_order == 3
        assert await second.all_tasks(0, 9) == [change.row, b]
        assert await second.events(0, 9) == heard
        assert await second.seats() == [seat(change.row)]
        assert await second.intents("sync", 0) == [intent(a)]
        await second.add([row("c")])
        assert [(e.order, e.task) for e in await second.events(3, 9)] == [(4, "c")]


async def test_event_orders_are_not_used_again_after_a_discard(home: House) -> None:
    async with home.ledger() as first:
        await first.add([row("a")])
        await first.add([row("b")], held=True)
        await first.discard(1)
    async with home.ledger() as second:
        assert second.last_order == 1
        await second.add([row("c")])
        assert second.last_order == 2


async def test_a_second_owner_is_refused_and_the_first_goes_on(home: House, ledger: Ledger) -> None:
    with pytest.raises(LedgerBusy, match="owned"):
        await home.ledger().open()
    await ledger.add([row("a")])
    await ledger.close()
    async with home.ledger() as next_owner:
        assert await names(next_owner) == ["a"]


async def test_readers_go_together_with_an_owner_and_without(home: House) -> None:
    async with home.ledger() as owner, home.ledger(read_only=True) as one, home.ledger(read_only=True) as two:
        await owner.add([row("a")])
        assert await names(one) == await names(two) == ["a"]
        assert one.last_order == 0
        await one.events(0, 9)
        assert one.last_order == 1
    async with home.ledger(read_only=True) as alone:
        assert await names(alone) == ["a"]
        assert alone.last_order == 1


async def test_a_reader_does_not_write(home: House) -> None:
    async with home.ledger() as owner:
        (task,) = await owner.add([row("a")])
    async with home.ledger(read_only=True) as reader:
        for write in (
            reader.add([row("b")]),
            reader.commit(Change(row=task)),
            reader.next_run(),
            reader.keep_upload(upload("d")),
            reader.forget_upload("sync", "d"),
            reader.write_gates({}),
        ):
            with pytest.raises(LedgerError, match="opened for reading"):
                await write
        await reader.place_order(Order(verb="cancel"))
        with pytest.raises(LedgerError, match="opened for reading"):
            await reader.take_orders()


async def test_a_ledger_that_is_not_open_says_so(home: House) -> None:
    ledger = home.ledger()
    for use in (ledger.add([row("a")]), ledger.tasks(["a"]), ledger.serve(), ledger.take_orders()):
        with pytest.raises(LedgerError, match="not open"):
            await use
    await ledger.close()
    async with ledger:
        with pytest.raises(LedgerError, match="open already"):
            await ledger.open()
        await ledger.add([row("a")])
    with pytest.raises(LedgerError, match="not open"):
        await ledger.add([row("b")])
    async with ledger:
        assert await names(ledger) == ["a"]


# -- money and media -----------------------------------------------------------------------------------------------


async def test_a_charge_is_written_with_its_step_settled_and_refunded(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a", attempt=1)])
    reserved = charge(task, "2.5")
    await ledger.commit(Change(row=evolve(task, charge=reserved), charge=reserved))
    assert (await ledger.tasks(["a"]))[0].charge == reserved
    assert [(found.state, found.amount, found.usd) for found in await ledger.spending()] == [
        ("reserved", Decimal("2.5"), Decimal("0.1"))
    ]
    await ledger.commit(Change(row=task, charge=charge(task, "2", state="spent")))
    assert [(found.state, found.amount) for found in await ledger.spending()] == [("spent", Decimal(2))]
    next_one = charge(evolve(task, attempt=2), "3")
    await ledger.commit(Change(row=task, refunds=reserved.id, charge=next_one))
    assert [(found.state, found.amount) for found in await ledger.spending()] == [("reserved", Decimal(3))]
    await ledger.commit(Change(row=task, refunds=next_one.id), Change(row=task, refunds="nobody:1"))
    assert await ledger.spending() == []


async def test_a_commit_that_fails_charges_nothing(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    with pytest.raises(LedgerError, match="nobody"):
        await ledger.commit(Change(row=task, charge=charge(task)), moved(row("nobody", order=99), EventType.FAILED))
    assert await ledger.spending() == []


async def test_spending_is_summed_by_account_pool_day_unit_and_state(ledger: Ledger) -> None:
    (task, other) = await ledger.add([row("a"), row("b", account="jogg")])
    given = [
        charge(task, "0.1", id="1"),
        charge(task, "0.2", id="2", usd=None),
        charge(task, None, id="3", usd=None),
        charge(task, "7", id="4", state="failed"),
        charge(task, "1", id="5", day="2026-11-20"),
        charge(task, None, id="6", unit=None, usd=None),
        charge(other, "5", id="7", unit="usd", usd=Decimal(5)),
    ]
    await ledger.commit(*[Change(row=task, charge=made) for made in given])

    def spent(day: str, state: str, unit: str | None, tasks: int, amount: str, usd: str, **given: object) -> Spending:
        values = {"account": "sync", "pool": "pool", "amount": Decimal(amount), "usd": Decimal(usd), **given}
        return Spending(day=day, state=state, unit=unit, tasks=tasks, **values)  # type: ignore[arg-type]

    today = "2026-11-21"
    late = [
        spent(today, "reserved", "usd", 1, "5", "5", account="jogg"),
        spent(today, "reserved", None, 1, "0", "0", unpriced=1, without_usd=1),
        spent(today, "failed", "credits", 1, "7", "0.28"),
        spent(today, "reserved", "credits", 3, "0.3", "0.004", unpriced=1, without_usd=2),
    ]
    early = spent("2026-11-20", "reserved", "credits", 1, "1", "0.04")
    assert await ledger.spending(today) == late
    assert await ledger.spending() == [late[0], early, *late[1:]]
    assert await ledger.spending("2026-11-22") == []


async def test_sums_of_money_are_exact(ledger: Ledger) -> None:
    (task,) = await ledger.add([row("a")])
    amounts = ["0.1"] * 300 + ["9223372036.854775807"] * 3 + ["0.0000000001"]
    made = [charge(task, amount, id=f"{n}", usd=None) for n, amount in enumerate(amounts)]
    await ledger.commit(*[Change(row=task, charge=one) for one in made])
    (found,) = await ledger.spending()
    assert found.amount == 30 + 3 * Decimal("9223372036.854775807") + Decimal("0.000000001")
    assert found.tasks == 304


@pytest.mark.parametrize("amount", ["-1", "1e30", "nan", "inf"])
async def test_a_charge_beyond_all_measure_is_refused(ledger: Ledger, amount: str) -> None:
    (task,) = await ledger.add([row("a")])
    with pytest.raises(LedgerError, match="beyond all measure"):
        await ledger.commit(Change(row=task, charge=charge(task, amount, usd=None)))


async def test_an_upload_is_known_until_it_is_forgotten(home: House, ledger: Ledger) -> None:
    first, second = upload("d"), upload("d", handle={"id": "v\ud800", "n": 10**40}, at=5.5, expires=6.5)
    await ledger.keep_upload(first)
    await ledger.keep_upload(upload("e", account="jogg"))
    assert await ledger.upload("sync", "d") == first
    assert await ledger.upload("jogg", "d") is None
    await ledger.keep_upload(second)
    await ledger.close()
    async with home.ledger() as next_owner:
        assert await next_owner.upload("sync", "d") == second
        await next_owner.forget_upload("sync", "d")
        await next_owner.forget_upload("sync", "nobody")
        assert await next_owner.upload("sync", "d") is None
        assert await next_owner.upload("jogg", "e") is not None
