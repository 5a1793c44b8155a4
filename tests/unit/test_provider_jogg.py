"""JoggAI's adapter; facts from seeds 001 and 002 and the fact sheet."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.unit.flows import AUDIO, VIDEO, drive, intent, reply

from viseme.config import Account
from viseme.errors import ConfigError, JobInvalid
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.base import Fault, Found, Refused, Request, Role, Safety, Seen, Undecided
from viseme.providers.jogg import JoggAI, JoggOptions
from viseme.results import Artifact, Cost

TASK = "3d5c6930-d0da-4f7b-826e-cd1530f6734f"
RESULT = "https://res.jogg.ai/lipsync-result.mp4"
COVER = "https://res.jogg.ai/lipsync-cover.jpg"


def provider(**settings: Any) -> JoggAI:
    return JoggAI(Account("jogg", api_key="key", **settings))


def job(**given: Any) -> Job:
    return Job(**{"video": VIDEO, "audio": AUDIO, **given})


def envelope(data: object, code: object = 0, msg: str = "Success", **more: object) -> dict[str, object]:
    return {"code": code, "msg": msg, "data": data, **more}


def task(status: object, **given: object) -> dict[str, object]:
    return envelope({"task_id": TASK, "status": status, "created_at": 1741500000, **given})


def observed(body: object) -> Any:
    ours = provider()
    return drive(ours, ours.poll({"id": TASK}), reply(body)).result


@pytest.mark.parametrize("playback", [None, "normal", "normal_reverse", "normal_reverse_by_audio"])
def test_a_job_becomes_exactly_this_request(playback: str | None) -> None:
    ours = provider()
    given = job(options={} if playback is None else {"playbackType": playback})
    played = drive(ours, ours.create(given, intent(), {}), reply(task("pending")))
    assert played.request == Request(
        method="POST",
        url="https://api.jogg.ai/v2/create_lip_sync_video",
        role=Role.PAID,
        classes=("create", "post", "all"),
        json={"video_url": VIDEO, "audio_url": AUDIO, "playback_type": playback or "normal"},
    )
    assert played.result.handle == {"id": TASK}
    assert played.result.observation.seen is Seen.QUEUED


def test_typed_options_say_the_same() -> None:
    given = job(options=JoggOptions(playback_type="normal_reverse"))
    assert given.options == {"playback_type": "normal_reverse"}
    assert provider().options(given) == JoggOptions(playback_type="normal_reverse")


def test_a_create_may_be_done_at_once() -> None:
    ours = provider()
    done = task("success", data={"result_url": RESULT})
    accepted = drive(ours, ours.create(job(), intent(), {}), reply(done)).result
    assert accepted.observation.seen is Seen.SUCCEEDED


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"options": {"playback_type": "loop"}}, "options", "not one of normal, normal_reverse"),
        ({"options": {"seed": 4}}, "options", "unknown name 'seed'; known are playback_type"),
        ({"audio": None, "text": "hi", "voice": "x"}, "text", "takes no text; give audio"),
        ({"audio": None}, "audio", "no speech"),
        ({"video": None, "image": VIDEO}, "image", "takes no image"),
        ({"model": "other"}, "model", "known are lip-sync"),
        ({"video": "http://localhost/x.mp4"}, "video", "cannot reach"),
    ],
)
def test_a_job_that_the_vendor_would_refuse_is_refused_here(given: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(JobInvalid, match=words) as caught:
        provider().check(job(**given))
    assert caught.value.field == field


def test_the_key_travels_in_its_header() -> None:
    ours = provider()
    credential = drive(ours, ours.authorize(None, 0.0)).result
    assert ours.sign(Request(method="GET", url=ours.base), credential, 0.0) == {"x-api-key": "key"}


# -- the path prefix -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prefix", "root"), [("/v2", "/v2"), ("/open/v2", "/open/v2"), ("/open/v2/", "/open/v2")])
def test_every_path_stands_below_the_prefix(prefix: str, root: str) -> None:
    ours = provider(path_prefix=prefix, base_url="https://proxy.example/jogg", lookup=True)
    flows = [
        ours.create(job(), intent(), {}),
        ours.poll({"id": TASK}),
        ours.start(),
        ours.balance(),
        ours.reconcile(job(), intent()),
    ]
    for flow in flows:
        request = next(flow)
        assert isinstance(request, Request)
        assert request.url.startswith(f"https://proxy.example/jogg{root}/")


@pytest.mark.parametrize("prefix", ["", "/", "v2", "/v2?x=1", "//", "/a b", "https://x/v2"])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"accounts\.jogg: path_prefix"):
        provider(path_prefix=prefix)


def test_the_start_asks_who_we_are() -> None:
    ours = provider()
    played = drive(ours, ours.start(), reply(envelope({"username": "x"})))
    assert played.request.url == "https://api.jogg.ai/v2/user/whoami"
    assert played.request.role is Role.SAFE
    assert played.result is None


@pytest.mark.parametrize(("prefix", "other"), [("/v2", "/open/v2"), ("/open/v2", "/v2"), ("/x", "/v2")])
@pytest.mark.parametrize(
    "outcome",
    [
        reply(b"404 page not found", 404),
        reply({"code": 404, "msg": "no route"}, 404),
        reply({"message": "Not Found"}, 404),
        reply(b"", 405),
    ],
)
def test_a_wrong_prefix_is_said_before_anything_is_paid(prefix: str, other: str, outcome: Any) -> None:
    ours = provider(path_prefix=prefix)
    with pytest.raises(Refused) as caught:
        drive(ours, ours.start(), outcome)
    verdict = caught.value.verdict
    assert (verdict.kind, verdict.blame) == (Kind.NOT_FOUND, "account")
    assert f'set path_prefix = "{other}" in accounts.jogg' in verdict.message


@pytest.mark.parametrize("outcome", [reply(envelope(None, 10105)), reply(envelope(None, 18025)), reply({}, 401)])
def test_a_wrong_key_is_said_before_anything_is_paid(outcome: Any) -> None:
    ours = provider()
    with pytest.raises(Refused) as caught:
        drive(ours, ours.start(), outcome)
    assert caught.value.verdict.kind is Kind.AUTH


@pytest.mark.parametrize(
    "outcome",
    [
        reply(b"", 500),
        reply(b"<html>"),
        reply(envelope(None, 50000)),
        reply(envelope(None, 10104)),
        reply(envelope(None, 10104), 404),
        reply(envelope(None, 777)),
        Fault(sent=True, message="reset"),
    ],
)
def test_other_trouble_does_not_stop_the_start(outcome: Any) -> None:
    ours = provider()
    assert drive(ours, ours.start(), outcome).result is None


# -- looks -----------------------------------------------------------------------------------------------------------


def test_a_look_asks_for_the_task() -> None:
    request = next(provider().poll({"id": "a/b?c"}))
    assert request == Request(
        method="GET", url="https://api.jogg.ai/v2/lip_sync_video/a%2Fb%3Fc", classes=("read", "all")
    )


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("pending", Seen.QUEUED),
        ("queued", Seen.QUEUED),
        ("processing", Seen.RUNNING),
        ("dreaming", Seen.RUNNING),
        ("success", Seen.RUNNING),
        ("completed", Seen.RUNNING),
        ("", Seen.RUNNING),
        (None, Seen.RUNNING),
        (4, Seen.RUNNING),
        ("failed", Seen.FAILED),
    ],
)
def test_every_status_without_a_url_has_its_meaning(status: object, seen: Seen) -> None:
    assert observed(task(status, data=None, error=None)).seen is seen


@pytest.mark.parametrize("status", ["success", "completed", "succeeded", "SUCCESS"])
def test_success_needs_a_url(status: str) -> None:
    data = {"result_url": RESULT, "cover_url": COVER, "duration_seconds": 12.5}
    seen = observed(task(status, data=data, error={"message": "a sample prints this too"}))
    assert seen.seen is Seen.SUCCEEDED
    assert seen.outputs == (Artifact(url=RESULT), Artifact(url=COVER, role="cover"))
    assert seen.cost == Cost(amount=0.1, unit="credits", estimated=True)


@pytest.mark.parametrize(
    ("seconds", "credits"), [(125, 1.0), (250, 2.0), (30, 0.24), (60, 0.48), (0.1, 0.01), (1.26, 0.02), (0, 0.0)]
)
def test_credits_are_rounded_up_to_two_decimals(seconds: float, credits: float) -> None:
    ours = provider()
    assert observed(task("success", data={"result_url": RESULT, "duration_seconds": seconds})).cost.amount == credits
    assert drive(ours, ours.estimate(job(), seconds)).result.amount == credits


@pytest.mark.parametrize("seconds", [None, "x", -1, True])
def test_without_a_length_there_is_no_cost(seconds: object) -> None:
    assert observed(task("success", data={"result_url": RESULT, "duration_seconds": seconds})).cost is None


def test_a_failed_job_is_billed_and_says_why() -> None:
    seen = observed(task("failed", data=None, error={"message": "face lost", "code": 12}))
    assert (seen.verdict.kind, seen.verdict.blame, seen.verdict.charged) == (Kind.JOB_FAILED, "vendor", True)
    assert "face lost" in seen.verdict.message
    assert seen.verdict.code == "12"


def test_media_that_were_not_fetched_are_the_jobs_fault() -> None:
    words = "consume retry limit reached: audio duration fetch failed"
    verdict = observed(task("failed", error={"message": words})).verdict
    assert (verdict.kind, verdict.blame, verdict.charged) == (Kind.MEDIA_UNREACHABLE, "job", True)
    assert words in verdict.message


@pytest.mark.parametrize("error", [None, "words", ["a"], {}, 5])
def test_a_failure_of_any_shape_is_a_failure(error: object) -> None:
    assert observed(task("failed", error=error)).seen is Seen.FAILED


@pytest.mark.parametrize("body", [envelope(None), envelope([]), {}, [], "x", 5, {"data": {"status": "processing"}}])
def test_a_reply_that_says_nothing_means_alive(body: object) -> None:
    assert observed(body).seen is Seen.RUNNING


# -- codes -----------------------------------------------------------------------------------------------------------


def refused(outcome: Any, *, paid: bool) -> Any:
    ours = provider()
    with pytest.raises(Refused) as caught:
        drive(ours, ours.create(job(), intent(), {}) if paid else ours.poll({"id": TASK}), outcome)
    return caught.value.verdict


@pytest.mark.parametrize("status", [200, 400, 403, 422])
@pytest.mark.parametrize(
    ("code", "paid", "safe", "blame"),
    [
        (429, Kind.RATE_LIMITED, Kind.RATE_LIMITED, "vendor"),
        (10104, Kind.INVALID, Kind.NOT_FOUND, None),
        (10105, Kind.AUTH, Kind.AUTH, "account"),
        (17003, Kind.INVALID, Kind.NOT_FOUND, None),
        (18020, Kind.NO_CREDIT, Kind.NO_CREDIT, "account"),
        (18025, Kind.AUTH, Kind.AUTH, "account"),
        (40000, Kind.INVALID, Kind.INVALID, "job"),
        (50000, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
    ],
)
def test_every_code_has_its_meaning_whatever_the_http_status(
    code: int, paid: Kind, safe: Kind, blame: str | None, status: int
) -> None:
    body = envelope(None, code, "so it is", rid="r-1")
    for verdict, kind in (
        (refused(reply(body, status), paid=True), paid),
        (refused(reply(body, status), paid=False), safe),
    ):
        assert verdict.kind is kind
        assert verdict.code == str(code)
        assert verdict.charged is (kind is Kind.FATE_UNKNOWN)
        assert blame is None or verdict.blame == blame
        assert f"code {code}" in verdict.message
        assert "so it is" in verdict.message
        assert "r-1" in verdict.message


@pytest.mark.parametrize("code", [0, 429, 10105, 18020, 40000, 50000, 999, None])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_leaves_the_fate_of_a_create_open_whatever_the_code(status: int, code: int | None) -> None:
    assert refused(reply(envelope(None, code), status), paid=True).kind is Kind.FATE_UNKNOWN


@pytest.mark.parametrize(
    ("status", "paid", "safe"),
    [
        (400, Kind.INVALID, Kind.INVALID),
        (401, Kind.AUTH, Kind.AUTH),
        (402, Kind.NO_CREDIT, Kind.NO_CREDIT),
        (403, Kind.AUTH, Kind.AUTH),
        (404, Kind.NOT_FOUND, Kind.NOT_FOUND),
        (408, Kind.FATE_UNKNOWN, Kind.TRANSIENT),
        (429, Kind.LIMITED, Kind.LIMITED),
        (500, Kind.FATE_UNKNOWN, Kind.TRANSIENT),
    ],
)
@pytest.mark.parametrize("body", [b"<html>words</html>", {"code": 0, "msg": "words"}, {"code": 31337, "msg": "words"}])
def test_without_a_known_code_the_http_status_speaks(status: int, paid: Kind, safe: Kind, body: object) -> None:
    verdict = refused(reply(body, status), paid=True)
    assert verdict.kind is paid
    assert "words" in verdict.message
    assert refused(reply(body, status), paid=False).kind is safe


@pytest.mark.parametrize("code", [1, 31337, "31337", -1])
def test_an_unknown_code_refuses_a_create_and_makes_no_sense_of_a_look(code: object) -> None:
    verdict = refused(reply(envelope(None, code)), paid=True)
    assert (verdict.kind, verdict.code) == (Kind.INVALID, str(code))
    assert refused(reply(envelope(None, code)), paid=False).kind is Kind.PROTOCOL


def test_a_code_may_be_text() -> None:
    assert refused(reply(envelope(None, "18020")), paid=True).kind is Kind.NO_CREDIT
    assert observed({**task("processing"), "code": "0"}).seen is Seen.RUNNING


@pytest.mark.parametrize(
    ("headers", "data", "more", "wait"),
    [
        ({"retry_after": "9"}, {"retryAfter": 3}, {}, 9.0),
        ({}, {"retryAfter": 3}, {}, 3.0),
        ({}, None, {"retryAfter": "4"}, 4.0),
        ({}, None, {}, None),
        ({}, {"retryAfter": -3}, {}, None),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, {}, None),
    ],
)
def test_the_wait_is_taken_from_where_it_stands(
    headers: dict[str, str], data: object, more: dict[str, object], wait: float | None
) -> None:
    assert refused(reply(envelope(data, 429, **more), 200, **headers), paid=True).retry_after == wait


@pytest.mark.parametrize(
    "body", [envelope(None), envelope({"status": "pending"}), {}, [], "x", envelope({"task_id": ""})]
)
def test_a_create_that_is_answered_without_an_id_has_an_unknown_fate(body: object) -> None:
    assert refused(reply(body), paid=True).kind is Kind.FATE_UNKNOWN


@pytest.mark.parametrize(("sent", "kind"), [(True, Kind.FATE_UNKNOWN), (False, Kind.TRANSIENT)])
def test_a_lost_reply_leaves_the_fate_open_only_if_the_request_left(sent: bool, kind: Kind) -> None:
    assert refused(Fault(sent=sent, message="reset"), paid=True).kind is kind


# -- the lookup ------------------------------------------------------------------------------------------------------


def test_the_lookup_is_off_unless_the_account_wants_it() -> None:
    ours = provider()
    assert ours.sheet.safety is Safety.NONE
    played = drive(ours, ours.reconcile(job(), intent()))
    assert isinstance(played.result, Undecided)
    assert played.requests == ()


def test_the_lookup_asks_with_the_very_inputs() -> None:
    ours = provider(lookup=True)
    assert ours.sheet.safety is Safety.CORRELATE
    assert not ours.sheet.complete
    signed = f"{VIDEO}?a=1&b=%2F+x#y"
    given = job(video=signed, options={"playback_type": "normal_reverse"})
    played = drive(ours, ours.reconcile(given, intent()), reply(task("processing")))
    parts = urlsplit(played.request.url)
    assert parts.path == "/v2/lip_sync_video"
    assert parse_qs(parts.query) == {"video_url": [signed], "audio_url": [AUDIO], "playback_type": ["normal_reverse"]}
    assert isinstance(played.result, Found)
    assert (played.result.handle, played.result.created) == ({"id": TASK}, 1741500000.0)
    assert played.result.by_inputs
    assert played.result.observation is not None
    assert played.result.observation.seen is Seen.RUNNING


@pytest.mark.parametrize(
    "outcome",
    [
        reply(envelope(None, 10104)),
        reply(envelope(None, 17003)),
        reply(envelope(None)),
        reply(envelope({"task_id": TASK, "status": "success"})),
        reply(envelope({"created_at": 1741500000})),
        reply(b"not found", 404),
    ],
)
def test_a_lookup_that_finds_nothing_proves_nothing(outcome: Any) -> None:
    ours = provider(lookup=True)
    assert isinstance(drive(ours, ours.reconcile(job(), intent()), outcome).result, Undecided)


@pytest.mark.parametrize("outcome", [reply(envelope(None, 10105)), reply(b"", 500), reply(envelope(None, 50000))])
def test_a_lookup_that_nobody_made_is_a_refusal_and_no_finding(outcome: Any) -> None:
    ours = provider(lookup=True)
    with pytest.raises(Refused):
        drive(ours, ours.reconcile(job(), intent()), outcome)


# -- credits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("left", "credits"), [(1000, 1000.0), (1000.0, 1000.0), ("12.5", 12.5)])
def test_the_quota_is_in_credits(left: object, credits: float) -> None:
    ours = provider()
    played = drive(ours, ours.balance(), reply(envelope({"remaining_quota": left})))
    assert played.request.url == "https://api.jogg.ai/v2/user/remaining_quota"
    assert played.result == Cost(amount=credits, unit="credits")


def test_a_quota_that_is_not_told_is_none() -> None:
    ours = provider()
    assert drive(ours, ours.balance(), reply(envelope({}))).result is None
