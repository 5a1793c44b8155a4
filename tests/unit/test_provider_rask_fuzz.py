"""Whatever Rask answers: an observation, a verdict, or an error that viseme can explain; never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.flows import VIDEO, intent
from tests.unit.rask_replies import MEDIA, NOW, PROJECT, RESULT, T1, T2, job, of_project, provider, run_handle

from viseme.codec import dumps
from viseme.errors import JobInvalid, VisemeError
from viseme.failures import Kind
from viseme.providers.base import Accepted, Fault, Flow, Outcome, Refused, Reply, Request, Role, Save, Verdict
from viseme.providers.rask import Rask
from viseme.providers.rask.statuses import PHASES

NAMES = [
    "id",
    "name",
    "status",
    "status_updated_at",
    "created_at",
    "translated_video",
    "projects",
    "total",
    "segments",
    "detail",
    "loc",
    "msg",
    "type",
    "kind",
    "meta",
    "duration_seconds",
    "minutes",
    "used",
    "access_token",
    "expires_in",
    "error",
    "check_face_task_status",
    "video_has_face",
    "lipsync_task_status",
    "lipsync_task_progress",
    "tasks_in_lipsync_queue",
    "lipsync_result_path",
]
WORDS = ["started", "done", "failed", "outdated", "ready", "processing", "error", "True", "https://[", RESULT, T1, T2]
OPTIONS = [
    "num_speakers",
    "is_multiple_speakers",
    "preview",
    "project_id",
    "media_id",
    "transcript_id",
    "glossary_id",
    "generate",
    "x",
    "numSpeakers",
]

words = st.sampled_from([*WORDS, *PHASES, "viseme-0123456789abcdef", "\ud800", "", "a\x00b"]) | st.text(max_size=20)
numbers = st.integers() | st.floats() | st.sampled_from([0, 1, 100, 10**400, 1e308])
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=10)
bodies = (objects | objects | values).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)
statuses = st.sampled_from([200, 200, 200, 201, 204, 302, 307, 400, 401, 402, 403, 404, 405, 409, 422, 429, 500, 503])
replies = st.builds(
    Reply,
    status=statuses,
    headers=st.dictionaries(st.just("retry-after"), words),
    body=bodies,
)
outcomes = replies | st.builds(Fault, sent=st.booleans(), message=st.text(max_size=20))
HANDLES: dict[str, dict[str, Any]] = {"media": {"id": MEDIA}, "face": {"id": PROJECT}, "video": {"id": MEDIA}}
BEFORE = {"status": "done", "path": RESULT, "progress": 100}


def at(stage: str, **given: Any) -> dict[str, Any]:
    return {"id": PROJECT, "stage": stage, "since": NOW, **given}


def created(stage: str) -> Callable[[Rask], Flow[Any]]:
    return lambda ours: ours.create(of_project() if stage == "redub" else job(), intent(stage=stage), HANDLES)


def polled(handle: dict[str, Any]) -> Callable[[Rask], Flow[Any]]:
    return lambda ours: ours.poll(handle, now=NOW + 100)


def lost(stage: str, saved: dict[str, Any] | None) -> Callable[[Rask], Flow[Any]]:
    return lambda ours: ours.reconcile(job(), intent(stage=stage, saved=saved), NOW + 100)


FLOWS: dict[str, Callable[[Rask], Flow[Any]]] = {
    **{f"create {stage}": created(stage) for stage in ("media", "project", "redub", "face", "lipsync", "preview")},
    **{f"poll {stage}": polled(at(stage)) for stage in ("media", "project", "face", "ready")},
    **{f"poll given {stage}": polled(at(stage, given=True)) for stage in ("media", "dub", "segments")},
    "poll redub": polled(at("redub", generated=T1, was="merging_done")),
    "poll edited": polled(at("dub", after=T1, given=True)),
    "poll lipsync": polled(run_handle()),
    "poll rerun": polled(run_handle(before=BEFORE, begun=True, moved=True, empty=4, empty_since=0.0)),
    "lost project": lost("project", None),
    "lost redub": lost("redub", at("redub", generated=T1, was="merging_done")),
    "lost lipsync": lost("lipsync", run_handle(before=BEFORE)),
    "token": lambda ours: ours.authorize(None, NOW),
    "upload": lambda ours: ours.upload(job(), "video", VIDEO),
    "balance": lambda ours: ours.balance(),
}
PAYING = ("create project", "create redub", "create lipsync", "create preview")


def run(ours: Rask, flow: Flow[Any], answers: list[Outcome]) -> tuple[Any, list[Verdict], int]:
    """The flow's result, the verdicts that it met, and how many paid requests it sent."""
    verdicts: list[Verdict] = []
    paid = 0
    try:
        step = next(flow)
        while True:
            if isinstance(step, Save):
                dumps(step.handle)
                step = flow.send(Reply(status=204))
                continue
            assert isinstance(step, Request)
            assert step.url.isascii()
            paid += step.role is Role.PAID
            outcome = answers.pop(0) if answers else Reply(status=404)
            verdict = ours.verdict(step, outcome)
            if verdict is None:
                assert isinstance(outcome, Reply)
                step = flow.send(outcome)
            else:
                verdicts.append(verdict)
                assert step.role is Role.PAID or verdict.kind is not Kind.FATE_UNKNOWN
                step = flow.throw(Refused(verdict))
    except StopIteration as end:
        return end.value, verdicts, paid
    except VisemeError as error:
        if isinstance(error, Refused):
            verdicts.append(error.verdict)
        return None, verdicts, paid


def writable(value: object) -> None:
    """The ledger and the event stream can hold it."""
    if attrs.has(type(value)):
        written = json.loads(dumps(attrs.asdict(value)))  # type: ignore[arg-type]
        json.dumps(written, allow_nan=False)


@pytest.mark.parametrize("flow", FLOWS)
@settings(max_examples=80, deadline=None)
@given(answers=st.lists(outcomes, min_size=1, max_size=5))
def test_no_answer_breaks_a_flow(flow: str, answers: list[Outcome]) -> None:
    ours = provider()
    result, verdicts, paid = run(ours, FLOWS[flow](ours), list(answers))
    assert paid <= (1 if flow in PAYING else 0)
    writable(result)
    if isinstance(result, Accepted):
        assert result.handle["id"]
    for verdict in verdicts:
        assert verdict.message
        assert len(verdict.message) < 1200
        assert verdict.retry_after is None or verdict.retry_after >= 0
        writable(verdict)


@settings(max_examples=200, deadline=None)
@given(options=st.dictionaries(st.sampled_from(OPTIONS), values, max_size=4), video=st.sampled_from([VIDEO, None]))
def test_no_options_break_the_check(options: dict[str, Any], video: str | None) -> None:
    ours = provider()
    try:
        made = job(video=video, options=options)
        ours.check(made)
    except JobInvalid:
        return
    assert ours.stages(made)
    assert ours.price(made) is not None
    run(ours, ours.create(made, intent(stage=ours.stages(made)[0]), HANDLES), [])
