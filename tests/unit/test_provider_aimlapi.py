"""AI/ML API's adapter; facts from the fact sheet and seed 004."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.flows import AUDIO, KEY, VIDEO, drive, intent, reply

from viseme.config import Account
from viseme.errors import ConfigError, JobInvalid
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.aimlapi import VOICES, AimlApi
from viseme.providers.base import Fault, Found, Refused, Request, Role, Safety, Seen, Undecided
from viseme.results import Artifact, Cost

SUBMITTED = {"id": "z-IMFJo2ORUJBR7OWIqDM", "status": "queued", "meta": {"usage": {"credits_used": 2000000}}}
FILE = "https://cdn.aimlapi.com/panda/pixverse%2Fmp4%2Fout.mp4"


def provider(**settings: Any) -> AimlApi:
    return AimlApi(Account("aimlapi", api_key="key", **settings))


def spoken(**given: Any) -> Job:
    return Job(**{"video": VIDEO, "text": "Run!", "voice": "Oliver", **given})


def dubbed(**given: Any) -> Job:
    return Job(**{"video": VIDEO, "audio": AUDIO, **given})


def observed(body: object) -> Any:
    ours = provider()
    return drive(ours, ours.poll({"id": "x"}), reply(body)).result


def test_an_audio_job_becomes_exactly_this_request() -> None:
    ours = provider()
    played = drive(ours, ours.create(dubbed(), intent(), {}), reply(SUBMITTED))
    assert played.request == Request(
        method="POST",
        url="https://api.aimlapi.com/v2/video/generations",
        role=Role.PAID,
        classes=("create", "post", "all"),
        headers={"x-client-request-id": KEY},
        json={"model": "pixverse/lip-sync", "video_url": VIDEO, "audio_url": AUDIO},
    )
    assert played.result.handle == {"id": "z-IMFJo2ORUJBR7OWIqDM"}
    assert played.result.observation.seen is Seen.QUEUED
    assert played.result.observation.cost == Cost(amount=2_000_000, unit="credits", usd=1.0, estimated=True)


def test_a_text_job_speaks_with_its_voice() -> None:
    ours = provider()
    assert next(ours.create(spoken(), intent(), {})).json == {  # type: ignore[union-attr]
        "model": "pixverse/lip-sync",
        "video_url": VIDEO,
        "lip_sync_tts_content": "Run!",
        "lip_sync_tts_speaker": "Oliver",
    }


def test_every_documented_voice_is_taken() -> None:
    assert len(VOICES) == len(set(VOICES)) == 15
    for voice in VOICES:
        provider().check(spoken(voice=voice))


@pytest.mark.parametrize(
    ("job", "field", "words"),
    [
        (Job(video=VIDEO), "audio", "no speech"),
        (Job(video=VIDEO, text="Run!"), "voice", "needs a voice"),
        (spoken(voice="oliver"), "voice", "no voice 'oliver'; voices are Harper"),
        (spoken(text="x" * 201), "text", "201 characters"),
        (Job(video=VIDEO, language="de"), "language", "takes no language"),
        (Job(image=VIDEO, audio=AUDIO), "image", "takes no image"),
        (Job(audio=AUDIO), "video", "no picture"),
        (dubbed(model="pixverse/v5"), "model", "known are pixverse/lip-sync"),
        (dubbed(options={"seed": 1}), "options", "unknown name 'seed'; known are none"),
        (dubbed(audio="http://192.168.1.4/a.wav"), "audio", "cannot reach"),
    ],
)
def test_a_job_that_the_vendor_would_refuse_is_refused_here(job: Job, field: str, words: str) -> None:
    with pytest.raises(JobInvalid, match=words) as caught:
        provider().check(job)
    assert caught.value.field == field


def test_the_text_limit_is_a_setting() -> None:
    provider(max_text=300).check(spoken(text="x" * 300))
    provider(max_text=0).check(spoken(text="x" * 9000))
    with pytest.raises(ConfigError, match="max_text must not be negative"):
        provider(max_text=-1)


def test_the_key_travels_as_a_bearer_token() -> None:
    ours = provider()
    credential = drive(ours, ours.authorize(None, 0.0)).result
    assert ours.sign(Request(method="GET", url=ours.base), credential, 0.0) == {"authorization": "Bearer key"}


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("-G3b3v_x", "-G3b3v_x"),
        ("0b5a:pixverse/lip-sync", "0b5a%3Apixverse%2Flip-sync"),
        ("a&b=c#d?e f+g", "a%26b%3Dc%23d%3Fe%20f%2Bg"),
        ("ü", "%C3%BC"),
    ],
)
def test_ids_are_encoded_whatever_they_hold(name: str, encoded: str) -> None:
    request = next(provider().poll({"id": name}))
    assert isinstance(request, Request)
    assert request.url == f"https://api.aimlapi.com/v2/video/generations?generation_id={encoded}"
    assert request.classes == ("read", "all")


def test_an_id_may_be_a_number_or_stand_in_a_header_only() -> None:
    ours = provider()
    assert drive(ours, ours.create(dubbed(), intent(), {}), reply({"id": 17})).result.handle == {"id": "17"}
    played = drive(ours, ours.create(dubbed(), intent(), {}), reply({"status": "queued"}, x_inference_id="abc"))
    assert played.result.handle == {"id": "abc"}


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": ""}, {"id": True}, {"id": "x" * 301}, [], "ok", 7])
def test_a_create_that_is_answered_without_an_id_has_an_unknown_fate(body: object) -> None:
    ours = provider()
    with pytest.raises(Refused) as caught:
        drive(ours, ours.create(dubbed(), intent(), {}), reply(body))
    assert caught.value.verdict.kind is Kind.FATE_UNKNOWN
    assert caught.value.verdict.charged


@pytest.mark.parametrize("status", ["queued", "waiting", "preparing", "queueing", "QUEUED"])
def test_these_statuses_are_queued(status: str) -> None:
    assert observed({"id": "x", "status": status}).seen is Seen.QUEUED


@pytest.mark.parametrize(
    "status", ["generating", "active", "processing", "running", "in_progress", "dreaming", "whatever", "", None, 5]
)
def test_these_statuses_and_unknown_ones_are_running(status: object) -> None:
    assert observed({"id": "x", "status": status}).seen is Seen.RUNNING


DONE = ["completed", "succeeded", "complete", "success", "done", "ready", "finished"]


@pytest.mark.parametrize("status", DONE)
def test_these_statuses_are_done_with_a_url(status: str) -> None:
    seen = observed({"id": "x", "status": status, "video": {"url": FILE}, "error": {"name": "", "message": "x"}})
    assert seen.seen is Seen.SUCCEEDED
    assert seen.outputs == (Artifact(url=FILE),)
    assert seen.cost is None


@pytest.mark.parametrize("status", DONE)
@pytest.mark.parametrize("video", [None, {}, {"url": ""}, {"url": "ftp://x/y"}, {"url": 5}, "nothing", []])
def test_done_without_a_url_is_not_done(status: str, video: object) -> None:
    seen = observed({"id": "x", "status": status, "video": video})
    assert (seen.seen, seen.verdict.kind) == (Seen.RUNNING, Kind.PROTOCOL)


@pytest.mark.parametrize("video", [FILE, [{"url": FILE}], {"url": f" {FILE} "}])
def test_the_url_is_found_in_other_shapes_too(video: object) -> None:
    assert observed({"status": "completed", "video": video}).outputs == (Artifact(url=FILE),)


FAILED = ["error", "failed", "cancelled", "canceled", "expired", "timeout", "timed_out"]


@pytest.mark.parametrize("status", FAILED)
def test_these_statuses_are_failures_that_cost_nothing(status: str) -> None:
    seen = observed({"id": "x", "status": status, "error": {"name": "UpstreamError", "message": "it broke"}})
    assert seen.seen is Seen.FAILED
    assert seen.verdict.kind is Kind.JOB_FAILED
    assert (seen.verdict.blame, seen.verdict.charged, seen.verdict.code) == ("vendor", False, "UpstreamError")
    assert "it broke" in seen.verdict.message
    assert seen.cost == Cost(amount=0.0, unit="credits", usd=0.0, estimated=True)


def test_a_list_of_details_is_the_jobs_own_fault() -> None:
    detail = [{"loc": ["body"], "msg": "No face found", "type": "face_detection_error", "input": {}}]
    verdict = observed({"status": "error", "error": {"detail": detail}}).verdict
    assert (verdict.kind, verdict.blame, verdict.code) == (Kind.JOB_FAILED, "job", "face_detection_error")
    assert "No face found" in verdict.message


@pytest.mark.parametrize("error", [None, "plain words", ["one", "two"], {}, {"detail": []}, {"detail": "words"}, 7])
def test_an_error_of_any_shape_is_a_failure(error: object) -> None:
    assert observed({"status": "error", "error": error}).seen is Seen.FAILED


def test_moderation_is_told_apart() -> None:
    verdict = observed({"status": "error", "error": {"name": "ModerationFailed", "message": "no"}}).verdict
    assert (verdict.kind, verdict.blame) == (Kind.CONTENT_REJECTED, "job")


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"credits_used": 840000}, Cost(amount=840000, unit="credits", usd=0.42)),
        ({"credits_used": 2000000, "usd_spent": 1.25}, Cost(amount=2000000, unit="credits", usd=1.25)),
        ({"credits_used": 2000000, "usd_spent": -1.25}, Cost(amount=2000000, unit="credits", usd=1.0)),
        ({"tokens_used": "2000000"}, Cost(amount=2000000, unit="credits", usd=1.0)),
        ({"credits_used": -5}, None),
        ({"credits_used": None}, None),
        (None, None),
    ],
)
def test_the_cost_is_what_the_vendor_says(usage: object, cost: Cost | None) -> None:
    body = {"status": "completed", "video": {"url": FILE}, "meta": {"usage": usage}}
    assert observed(body).cost == cost


def refused(status: int, body: object, *, paid: bool, **headers: str) -> Any:
    ours = provider()
    flow = ours.create(dubbed(), intent(), {}) if paid else ours.poll({"id": "x"})
    with pytest.raises(Refused) as caught:
        drive(ours, flow, reply(body, status, **headers))
    return caught.value.verdict


@pytest.mark.parametrize(
    ("status", "paid", "safe", "blame"),
    [
        (400, Kind.INVALID, Kind.INVALID, "job"),
        (401, Kind.AUTH, Kind.AUTH, "account"),
        (403, Kind.NO_CREDIT, Kind.NO_CREDIT, "account"),
        (404, Kind.NOT_FOUND, Kind.NOT_FOUND, "vendor"),
        (408, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
        (422, Kind.INVALID, Kind.INVALID, "job"),
        (429, Kind.LIMITED, Kind.LIMITED, "vendor"),
        (500, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
        (502, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
        (503, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
        (504, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
    ],
)
def test_every_http_status_has_its_meaning(status: int, paid: Kind, safe: Kind, blame: str) -> None:
    body = {"message": "so it is", "path": "/v2", "requestId": "r-1", "statusCode": str(status), "timestamp": "now"}
    for verdict, kind in ((refused(status, body, paid=True), paid), (refused(status, body, paid=False), safe)):
        assert (verdict.kind, verdict.blame, verdict.charged) == (kind, blame, kind is Kind.FATE_UNKNOWN)
        assert "so it is" in verdict.message
        assert "r-1" in verdict.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": ["too long", "too short"]}, "too long; too short"),
        ({"error": {"name": "Bad", "message": "no good"}}, "no good"),
        ({"error": {"detail": [{"msg": "expected url"}]}}, "expected url"),
        (b"<html>Bad Gateway</html>", "Bad Gateway"),
        (b"", "HTTP 400"),
        (b"{'message': 'broken'", "broken"),
    ],
)
def test_errors_of_every_shape_are_quoted(body: object, words: str) -> None:
    assert words in refused(400, body, paid=True).message


def test_retry_after_is_read() -> None:
    assert refused(429, {}, paid=True, retry_after="7").retry_after == 7.0


@pytest.mark.parametrize(("sent", "kind"), [(True, Kind.FATE_UNKNOWN), (False, Kind.TRANSIENT)])
def test_a_lost_reply_leaves_the_fate_open_only_if_the_request_left(sent: bool, kind: Kind) -> None:
    ours = provider()
    with pytest.raises(Refused) as caught:
        drive(ours, ours.create(dubbed(), intent(), {}), Fault(sent=sent, message="reset"))
    assert caught.value.verdict.kind is kind


def row(key: str, **given: Any) -> dict[str, Any]:
    return {"client_request_id": key, "inference_id": "found-1", "status": "succeeded", **given}


def others(count: int) -> list[dict[str, Any]]:
    return [row(f"other-{number}") for number in range(count)]


def test_a_lost_create_is_found_in_the_log_by_its_label() -> None:
    ours = provider()
    log = [*others(2), row(KEY, created="2025-11-20T01:00:00.000Z")]
    played = drive(ours, ours.reconcile(dubbed(), intent()), reply({"data": log}))
    assert played.request.url == (
        "https://api.aimlapi.com/v2/logs?period=1h&model=pixverse%2Flip-sync&limit=100&offset=0"
    )
    assert played.result == Found(handle={"id": "found-1"}, created=1_763_600_400.0)


def test_a_create_that_the_log_calls_failed_is_found_all_the_same() -> None:
    ours = provider()
    finding = drive(ours, ours.reconcile(dubbed(), intent()), reply([row(KEY, status="failed")])).result
    assert finding == Found(handle={"id": "found-1"})


def test_further_pages_are_read_up_to_the_limit() -> None:
    ours = provider()
    pages = [reply(others(100)), reply(others(100)), reply([*others(99), row(KEY)])]
    played = drive(ours, ours.reconcile(dubbed(), intent()), *pages)
    assert [request.url.rpartition("=")[2] for request in played.requests] == ["0", "100", "200"]
    assert isinstance(played.result, Found)
    ours = provider(log_pages=3)
    full = [reply(others(100)) for _ in range(3)]
    assert isinstance(drive(ours, ours.reconcile(dubbed(), intent()), *full).result, Undecided)


def test_pages_older_than_the_create_are_not_read() -> None:
    ours, sent = provider(), intent()
    for behind, more in ((300, 1), (3600, 0)):
        page = [*others(99), row("old", created=sent.at - behind)]
        pages = [reply(page), *([reply([row(KEY)])] * more)]
        played = drive(ours, ours.reconcile(dubbed(), sent, sent.at + 30), *pages)
        assert isinstance(played.result, Found if more else Undecided)


@pytest.mark.parametrize(
    ("hours", "period"), [(0, "1h"), (0.6, "1h"), (0.9, "24h"), (5, "24h"), (30, "7d"), (400, "30d"), (5000, "90d")]
)
def test_the_log_is_asked_for_a_period_that_reaches_back_to_the_create(hours: float, period: str) -> None:
    ours, sent = provider(), intent()
    played = drive(ours, ours.reconcile(dubbed(), sent, sent.at + hours * 3600), reply([row(KEY)]))
    assert f"period={period}&" in played.request.url


@pytest.mark.parametrize(
    "log", [[], {"data": []}, {}, None, "x", [row("other")], [row(KEY, inference_id=None)], [5, None, "x"]]
)
def test_a_log_that_does_not_show_the_create_proves_nothing(log: object) -> None:
    ours = provider()
    outcomes = [reply(log)] if log is not None else [reply({"rows": None})]
    assert isinstance(drive(ours, ours.reconcile(dubbed(), intent()), *outcomes).result, Undecided)


@pytest.mark.parametrize("status", [401, 503])
def test_a_log_that_nobody_could_look_at_is_a_refusal_and_no_finding(status: int) -> None:
    ours = provider()
    with pytest.raises(Refused):
        drive(ours, ours.reconcile(dubbed(), intent()), reply({}, status))


@pytest.mark.parametrize("status", [403, 404])
def test_a_log_that_may_not_be_read_proves_nothing(status: int) -> None:
    ours = provider()
    assert isinstance(drive(ours, ours.reconcile(dubbed(), intent()), reply({}, status)).result, Undecided)


def test_the_log_can_be_switched_off() -> None:
    ours = provider(log_pages=0)
    assert ours.sheet.safety is Safety.NONE
    assert AimlApi.sheet.safety is provider().sheet.safety is Safety.CORRELATE
    assert not ours.sheet.complete
    assert drive(ours, ours.reconcile(dubbed(), intent())).requests == ()


def test_the_balance_is_in_dollars() -> None:
    ours = provider()
    played = drive(ours, ours.balance(), reply({"current_balance": 12.5, "currency": "USD"}))
    assert played.request.url == "https://api.aimlapi.com/v2/billing"
    assert played.result == Cost(amount=12.5, unit="usd", usd=12.5)
    assert drive(ours, ours.balance(), reply({})).result is None


def test_a_job_costs_the_same_whatever_its_length() -> None:
    ours = provider()
    for seconds in (1.0, 30.0):
        cost = drive(ours, ours.estimate(dubbed(), seconds)).result
        assert cost == Cost(amount=2_000_000, unit="credits", usd=1.0, estimated=True)
