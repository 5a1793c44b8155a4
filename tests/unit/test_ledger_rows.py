from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve, fields_dict
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit import ledgers
from tests.unit.ledgers import row, speaking

from viseme.attempts import Intent, Seat, TaskRow, Upload
from viseme.errors import LedgerError
from viseme.events import Event
from viseme.ledger import rows
from viseme.results import State, Timings

CODECS = ("installed", "stdlib")


def back(task: TaskRow, fixed: str, standing: str) -> TaskRow:
    """As a page is read: several texts parsed as one, beside what stands in columns."""
    _, *texts = rows.parse(f"[[{task.order},{fixed},{standing}]]")[0]
    parked = None if task.parked is None else str(task.parked)
    return rows.task(task.order, *texts, [task.run, task.account, str(task.state), parked])


@pytest.mark.parametrize("codec", CODECS)
@given(task=ledgers.rows)
def test_a_task_is_rebuilt_equal(codec: str, task: TaskRow) -> None:
    with speaking(codec):
        assert back(task, rows.task_text(task), rows.standing_text(task)) == task


@pytest.mark.parametrize("codec", CODECS)
@given(task=ledgers.rows, run=st.integers(0, 99), account=ledgers.words, state=st.sampled_from(State))
def test_a_task_that_only_moved_keeps_its_texts(
    codec: str, task: TaskRow, run: int, account: str, state: State
) -> None:
    moved = evolve(task, run=run, account=account, state=state, parked=None)
    with speaking(codec):
        assert rows.restated(task, moved)
        assert back(moved, rows.task_text(task), rows.standing_text(task)) == moved


@given(task=ledgers.rows, other=ledgers.rows, name=st.sampled_from(list(fields_dict(TaskRow))))
def test_whatever_else_changed_is_written(task: TaskRow, other: TaskRow, name: str) -> None:
    changed = evolve(task, **{name: getattr(other, name)})
    kept = back(changed, rows.task_text(changed), rows.standing_text(task))
    if rows.restated(task, changed):
        assert kept == changed


@pytest.mark.parametrize("codec", CODECS)
@given(intent=ledgers.intents, seat=ledgers.seats, event=ledgers.events, upload=ledgers.uploads)
def test_intents_seats_uploads_and_events_are_rebuilt_equal(
    codec: str, intent: Intent, seat: Seat, event: Event, upload: Upload
) -> None:
    with speaking(codec):
        assert rows.intent(rows.parse(rows.intent_text(intent))) == intent
        assert rows.seat(rows.parse(rows.seat_text(seat))) == seat
        assert rows.upload(rows.parse(rows.upload_text(upload))) == upload
        text = rows.event_text(event.seq, event.type, event.at, event.data)
        assert rows.event(event.order or 0, event.run, event.task, event.key, rows.parse(text)) == event


@pytest.mark.parametrize("codec", CODECS)
@given(
    before=ledgers.intents, other=ledgers.intents, name=st.sampled_from(list(fields_dict(Intent))), ended=ledgers.times
)
def test_an_intent_whose_text_is_made_of_the_one_before_is_its_own(
    codec: str, before: Intent, other: Intent, name: str, ended: float
) -> None:
    with speaking(codec):
        for value in (evolve(before, ended=ended), evolve(before, **{"ended": ended, name: getattr(other, name)})):
            assert rows.intent(rows.parse(rows.intent_text(value, before))) == value


def test_an_intent_that_only_ended_is_not_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = ledgers.intent(row("t"))
    text = rows.intent_text(sent)
    monkeypatch.setattr(rows, "text", None)
    assert rows.intent_text(evolve(sent, ended=5.25), sent) == f'{text[:-1]},"ended":5.25}}'


@pytest.mark.parametrize("at", [float("inf"), 1e300, -0.0, 1795318573.2329876])
def test_moments_beyond_all_measure_are_kept(at: float) -> None:
    task = evolve(row("t"), began=at, observed=at, since=at, timings=Timings(queued=at))
    with speaking("stdlib"):
        assert back(task, rows.task_text(task), rows.standing_text(task)) == task


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("value", ["\ud800", 2**70, -(2**70), {"deep": ["\udfff", 10**30]}])
def test_what_json_can_say_and_a_codec_cannot_is_kept_all_the_same(codec: str, value: Any) -> None:
    task = row("t", handle={"id": "v", "said": value})
    with speaking(codec):
        assert back(task, rows.task_text(task), rows.standing_text(task)) == task


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("where", ["body", "intent", "both"])
def test_it_is_kept_in_whichever_part_of_a_task_it_stands(codec: str, where: str) -> None:
    strange = {"said": "\ud800 and \t"}
    task = row("t", handle={"id": "v"} if where == "intent" else strange)
    task = evolve(task, intent=evolve(ledgers.intent(task), saved=None if where == "body" else strange))
    with speaking(codec):
        text = rows.standing_text(task)
        assert text.count("\t") == 1
        assert back(task, rows.task_text(task), text) == task


def test_few_texts_are_remembered_and_each_is_its_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_KEPT", 3)
    made: list[Any] = []
    remembered = rows._Kept(lambda value, _: made.append(value) or str(value))
    kept = remembered.text
    assert [kept([number]) for number in range(20)] == [f"[{number}]" for number in range(20)]
    assert len(remembered._texts) + len(remembered._older) <= 6
    first, *others = values = [[number] for number in range(4)]
    made.clear()
    for value in (*values, first, *others):  # the fourth makes the others older
        kept(value)
    assert made == values
    value, made[:] = [1], []
    assert [kept(value), kept(value), kept([1])] == ["[1]"] * 3
    assert made == [[1], [1]]


def test_few_moments_are_remembered_and_each_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_KEPT", 3)
    told = rows._Moments()
    moments = [1795318573.2329876 + number for number in range(40)]
    assert [told[at] for at in (*moments, *moments)] == [repr(at) for at in (*moments, *moments)]
    assert len(told) <= 12


@given(texts=st.lists(st.text()))
@example(texts=["\t"])
def test_a_tab_in_someones_words_is_no_mark(texts: list[str]) -> None:
    assert "\t" not in rows.text(texts)
    assert rows.parse(rows.text(texts)) == texts


def test_what_is_no_json_is_refused_with_the_next_step() -> None:
    with pytest.raises(LedgerError, match="give JSON values only"):
        rows.text({"handle": object()})


def test_a_task_is_made_of_its_fields_and_shares_no_dictionary_with_another() -> None:
    task = row("t")
    one, other = (back(task, rows.task_text(task), rows.standing_text(task)) for _ in range(2))
    assert one.__dict__.keys() == fields_dict(TaskRow).keys()
    for name in ("handles", "inputs", "lasted"):
        assert getattr(one, name) == {}
        assert getattr(one, name) is not getattr(other, name)


@pytest.mark.parametrize("fixed", ['{"id":"t","key":"k"', '{"id":"t","key":"k","digest":"d","colour":"red"'])
def test_texts_of_what_is_no_task_are_refused(fixed: str) -> None:
    with pytest.raises(TypeError, match="fields"):
        back(row("t"), fixed + ',"job":{"video":"a.mp4"}}', "{}")


def test_a_task_with_nothing_but_an_intent_is_kept() -> None:
    task = evolve(row("t"), timings=Timings())
    task = evolve(task, intent=ledgers.intent(task))
    assert back(task, rows.task_text(task), rows.standing_text(task)) == task


def test_a_task_that_is_placed_differs_only_in_its_order_and_seq() -> None:
    task = row("t", handle={"id": "v"}, seq=7)
    assert rows.placed(task, 12) == evolve(task, order=12, seq=1)


def test_a_job_that_names_several_accounts_keeps_them_in_their_order() -> None:
    task = row("t")
    object.__setattr__(task.job, "account", ("sync", "aimlapi"))
    found = back(task, rows.task_text(task), rows.standing_text(task)).job
    assert found == task.job
    assert found.account == ("sync", "aimlapi")


def test_a_job_that_a_newer_release_would_refuse_is_read_back() -> None:
    task = row("t")
    text = rows.task_text(task).replace("https://media.example/a.mp4", "gopher://media.example/a.mp4")
    assert back(task, text, rows.standing_text(task)).job.video == "gopher://media.example/a.mp4"


@pytest.mark.parametrize(
    ("handle", "found"),
    [
        (None, None),
        ({}, None),
        ({"id": None}, None),
        ({"id": "v-1"}, "v-1"),
        ({"id": 7}, "7"),
        ({"id": "\ud800"}, "\\ud800"),
    ],
)
def test_the_vendor_id_is_searchable_text(handle: dict[str, Any] | None, found: str | None) -> None:
    assert rows.vendor_id(handle) == found


@given(st.lists(st.integers(), min_size=2, max_size=2))
def test_a_higher_priority_never_has_the_higher_rank(priorities: list[int]) -> None:
    low, high = sorted(priorities)
    assert rows.rank(high) <= rows.rank(low)
    assert abs(rows.rank(high)) < 2**63
