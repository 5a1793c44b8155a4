"""Whatever a vendor answers: an observation, a verdict, or an error that viseme can explain; never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.flows import AUDIO, VIDEO, intent

from viseme import codec
from viseme.codec import dumps
from viseme.config import Account
from viseme.errors import JobInvalid, VisemeError
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers import steps
from viseme.providers.aimlapi import AimlApi
from viseme.providers.base import Fault, Flow, Outcome, Provider, Refused, Reply, Request, Role, Verdict
from viseme.providers.jogg import JoggAI
from viseme.providers.sync import Sync

PROVIDERS: list[Provider] = [
    Sync(Account("sync", api_key="key")),
    JoggAI(Account("jogg", api_key="key", lookup=True)),
    AimlApi(Account("aimlapi", api_key="key")),
]


@pytest.fixture(scope="module", autouse=True, params=["installed", "standard"])
def json_reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both readers of JSON: they differ in what they let through."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "standard":
            patch.setattr(steps, "loads", codec._stdlib_loads)
        yield


JOB = Job(video=VIDEO, audio=AUDIO)

NAMES = [
    "id",
    "status",
    "error",
    "errorCode",
    "error_code",
    "message",
    "outputUrl",
    "outputDuration",
    "model",
    "progress_percent",
    "retryAfterSeconds",
    "concurrencyLimit",
    "generationId",
    "estimatedGenerationCost",
    "data",
    "code",
    "msg",
    "task_id",
    "created_at",
    "result_url",
    "cover_url",
    "duration_seconds",
    "rid",
    "retryAfter",
    "remaining_quota",
    "video",
    "url",
    "meta",
    "usage",
    "credits_used",
    "usd_spent",
    "detail",
    "type",
    "name",
    "client_request_id",
    "inference_id",
    "created",
    "current_balance",
    "items",
    "requestId",
    "field",
]
WORDS = [
    "PENDING",
    "PROCESSING",
    "COMPLETED",
    "FAILED",
    "REJECTED",
    "pending",
    "processing",
    "success",
    "failed",
    "queued",
    "completed",
    "error",
    "lipsync-2",
    "concurrency_limit_reached",
    "rate_limit_exceeded",
    "generation_not_found",
    "IDEMPOTENCY_OUTCOME_UNKNOWN",
    "sync-3",
    "https://[",
    "https://a.example/v.mp4",
    "https://a.example/v.mp4?X-Amz-Date=20251120T010000Z&X-Amz-Expires=1e400",
    "0",
    "429",
    "50000",
]
OPTIONS = ["sync_mode", "temperature", "segments", "audios", "playback_type", "active_speaker_detection", "x"]

texts = st.sampled_from([*WORDS, "viseme-0123456789abcdef", "\ud800", "", "a\x00b"]) | st.text(max_size=20)
numbers = (
    st.integers() | st.floats() | st.sampled_from([0, 429, 10104, 10105, 18020, 50000, 1741500000, 10**400, 1e308])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
bodies = (objects | values).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)
headers = st.dictionaries(st.sampled_from(["retry-after", "x-inference-id"]), texts)
replies = st.builds(
    Reply,
    status=st.sampled_from([200, 201, 204, 302, 307, 400, 401, 402, 403, 404, 409, 418, 422, 429, 500, 502, 503, 504]),
    headers=headers,
    body=bodies,
)
outcomes = replies | st.builds(Fault, sent=st.booleans(), message=st.text(max_size=20))

FLOWS: dict[str, Callable[[Provider], Flow[Any]]] = {
    "create": lambda ours: ours.create(JOB, intent(), {}),
    "poll": lambda ours: ours.poll({"id": "a"}),
    "held": lambda ours: ours.poll({"id": "a"}, 10.0),
    "reconcile": lambda ours: ours.reconcile(JOB, intent()),
    "start": lambda ours: ours.start(),
    "balance": lambda ours: ours.balance(),
    "estimate": lambda ours: ours.estimate(JOB, 30.0),
}


def run(ours: Provider, flow: Flow[Any], answers: list[Outcome]) -> tuple[Any, list[Verdict]]:
    verdicts: list[Verdict] = []
    try:
        step = next(flow)
        while True:
            assert isinstance(step, Request)
            assert step.url.isascii()
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
        return end.value, verdicts
    except VisemeError as error:
        if isinstance(error, Refused):
            verdicts.append(error.verdict)
        return None, verdicts


def writable(value: object) -> None:
    """The ledger and the event stream can hold it."""
    if attrs.has(type(value)):
        written = json.loads(dumps(attrs.asdict(value)))  # type: ignore[arg-type]
        json.dumps(written, allow_nan=False)


@pytest.mark.parametrize("ours", PROVIDERS, ids=lambda ours: ours.name)
@pytest.mark.parametrize("flow", FLOWS)
@settings(max_examples=60, deadline=None)
@given(answers=st.lists(outcomes, min_size=1, max_size=3))
def test_no_answer_breaks_a_flow(ours: Provider, flow: str, answers: list[Outcome]) -> None:
    result, verdicts = run(ours, FLOWS[flow](ours), list(answers))
    writable(result)
    for verdict in verdicts:
        assert verdict.message
        assert len(verdict.message) < 900
        assert verdict.retry_after is None or verdict.retry_after >= 0
        writable(verdict)


@settings(max_examples=100, deadline=None)
@given(answer=outcomes)
def test_no_answer_breaks_a_list(answer: Outcome) -> None:
    result, _ = run(PROVIDERS[0], PROVIDERS[0].poll_many([{"id": "a"}, {"id": "b"}]), [answer])
    for name, seen in (result or {}).items():
        assert name in ("a", "b")
        writable(seen)


@pytest.mark.parametrize("ours", PROVIDERS, ids=lambda ours: ours.name)
@settings(max_examples=60, deadline=None)
@given(answer=outcomes)
def test_a_create_is_accepted_refused_or_open_and_a_server_error_never_frees_it(
    ours: Provider, answer: Outcome
) -> None:
    result, verdicts = run(ours, ours.create(JOB, intent(), {}), [answer])
    assert (result is None) == bool(verdicts)
    if isinstance(answer, Reply) and answer.status >= 500:
        assert verdicts[0].kind is Kind.FATE_UNKNOWN
    if isinstance(answer, Fault):
        assert verdicts[0].kind is (Kind.FATE_UNKNOWN if answer.sent else Kind.TRANSIENT)
    if result is not None:
        assert result.handle["id"]


@pytest.mark.parametrize("ours", PROVIDERS, ids=lambda ours: ours.name)
@settings(max_examples=60, deadline=None)
@given(options=st.dictionaries(st.sampled_from(OPTIONS), values, max_size=3))
def test_no_options_break_the_check(ours: Provider, options: dict[str, Any]) -> None:
    try:
        job = Job(video=VIDEO, audio=AUDIO, options=options)
        ours.check(job)
    except JobInvalid:
        return
    assert next(ours.create(job, intent(), {})) == next(ours.create(job, intent(), {}))
