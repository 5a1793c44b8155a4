"""Sync's error codes: the 62 of its catalogue and those that other sources name (fact sheet sections 3 to 5)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.flows import AUDIO, VIDEO, drive, intent, reply

from viseme.config import Account
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.base import Fault, Refused, Seen, Verdict
from viseme.providers.sync import Sync
from viseme.providers.sync.codes import CODES

CATALOGUE = """
generation_unsupported_model                        invalid             job      invalid            job
generation_pipeline_failed                          job_failed          vendor   job_failed         vendor
generation_unknown_error                            job_failed          vendor   job_failed         vendor
generation_input_validation_failed                  invalid             job      invalid            job
generation_infra_storage_error                      job_failed          vendor   job_failed         vendor
generation_infra_resource_exhausted                 job_failed          vendor   job_failed         vendor
generation_infra_service_unavailable                job_failed          vendor   job_failed         vendor
generation_input_video_inaccessible                 media_unreachable   job      media_unreachable  job
generation_input_audio_inaccessible                 media_unreachable   job      media_unreachable  job
generation_input_image_inaccessible                 media_unreachable   job      media_unreachable  job
generation_input_video_invalid                      invalid             job      invalid            job
generation_input_audio_invalid                      invalid             job      invalid            job
generation_input_segments_invalid                   invalid             job      invalid            job
generation_input_trim_invalid                       invalid             job      invalid            job
generation_input_face_selection_invalid             invalid             job      invalid            job
generation_input_resolution_unsupported             invalid             job      invalid            job
generation_input_asset_type_mismatch                invalid             job      invalid            job
generation_input_too_many_visual                    invalid             job      invalid            job
generation_input_dub_audio_conflict                 invalid             job      invalid            job
generation_input_duration_greater_than_max_duration invalid             job      invalid            job
generation_model_duration_exceeded                  invalid             job      invalid            job
generation_plan_duration_exceeded                   invalid             job      invalid            job
dubbing_duration_exceeded                           invalid             job      invalid            job
free_tier_generations_exhausted                     no_credit           account  no_credit          account
plan_feature_unavailable                            invalid             account  invalid            account
account_payment_required                            no_credit           account  no_credit          account
account_on_hold                                     no_credit           account  no_credit          account
voice_clone_limit_reached                           invalid             account  invalid            account
elevenlabs_quota_exceeded                           no_credit           account  no_credit          account
concurrency_limit_reached                           no_seat             account  invalid            job
rate_limit_exceeded                                 rate_limited        account  invalid            job
generation_not_deletable_while_processing           invalid             job      invalid            job
invalid_generation_id                               not_found           account  invalid            job
unsupported_generation_id_format                    not_found           account  invalid            job
generation_not_found                                not_found           account  invalid            job
generation_conflict                                 job_failed          vendor   job_failed         vendor
generation_media_probe_timeout                      transient           vendor   job_failed         vendor
generation_media_probe_unavailable                  transient           vendor   job_failed         vendor
controller_timeout                                  transient           vendor   job_failed         vendor
controller_unavailable                              transient           vendor   job_failed         vendor
controller_dependency_error                         transient           vendor   job_failed         vendor
internal_error                                      transient           vendor   job_failed         vendor
usage_dependency_unavailable                        transient           vendor   job_failed         vendor
project_not_found                                   invalid             job      invalid            job
asset_not_found                                     media_unreachable   job      media_unreachable  job
asset_forbidden                                     media_unreachable   job      media_unreachable  job
invalid_asset_id_format                             media_unreachable   job      media_unreachable  job
uploaded_file_not_found                             media_unreachable   job      media_unreachable  job
file_not_in_org_storage                             media_unreachable   job      media_unreachable  job
file_size_exceeds_plan_limit                        invalid             job      invalid            job
voice_not_found                                     invalid             job      invalid            job
voice_sample_not_accessible                         media_unreachable   job      media_unreachable  job
voice_sample_type_unsupported                       invalid             job      invalid            job
voice_sample_upload_required                        invalid             job      invalid            job
voice_sample_extraction_failed                      invalid             job      invalid            job
voice_sample_source_too_large                       invalid             job      invalid            job
voice_sample_too_short                              invalid             job      invalid            job
voice_sample_invalid                                invalid             job      invalid            job
voice_name_conflict                                 invalid             job      invalid            job
voice_clone_busy                                    transient           vendor   job_failed         vendor
elevenlabs_api_key_invalid                          invalid             account  invalid            account
elevenlabs_service_unavailable                      transient           vendor   job_failed         vendor
"""
"""Code; as a refusal of a create (kind, blame); as the reason of a FAILED generation (kind, blame)."""

FURTHER = """
cost_estimate_unavailable           invalid      job     invalid     job
dialogue_edit_retime_required       invalid      job     invalid     job
dialogue_edit_removal_too_large     invalid      job     invalid     job
dialogue_edit_not_found             invalid      job     invalid     job
generation_media_metadata_missing   invalid      job     invalid     job
generation_audio_length_exceeded    invalid      job     invalid     job
generation_text_length_exceeded     invalid      job     invalid     job
generation_audio_missing            invalid      job     invalid     job
generation_video_missing            invalid      job     invalid     job
generation_timeout                  job_failed   vendor  job_failed  vendor
generation_database_error           job_failed   vendor  job_failed  vendor
generation_internal_auth            job_failed   vendor  job_failed  vendor
generation_unhandled_error          job_failed   vendor  job_failed  vendor
INVALID_IDEMPOTENCY_KEY             invalid      job     invalid     job
"""

ROWS = [tuple(line.split()) for line in (CATALOGUE + FURTHER).strip().splitlines() if line]
ALL = [row[0] for row in ROWS]


def provider() -> Sync:
    return Sync(Account("sync", api_key="key"))


def refused(outcome: Any, *, paid: bool = True) -> Verdict:
    ours = provider()
    flow = ours.create(Job(video=VIDEO, audio=AUDIO), intent(), {}) if paid else ours.poll({"id": "a"})
    with pytest.raises(Refused) as caught:
        drive(ours, flow, outcome)
    return caught.value.verdict


def ended(status: str, **given: object) -> Verdict:
    ours = provider()
    seen = drive(ours, ours.poll({"id": "a"}), reply({"id": "a", "status": status, **given})).result
    assert seen.seen is Seen.FAILED
    assert seen.verdict is not None
    return seen.verdict


def error(status: int, code: str | None, **more: object) -> Any:
    known = {} if code is None else {"errorCode": code}
    return reply({"message": "so it is", "statusCode": status, **known, **more}, status)


def test_the_catalogue_has_62_codes_and_every_known_code_is_tested() -> None:
    assert len(CATALOGUE.strip().splitlines()) == 62
    assert set(ALL) == set(CODES)


@pytest.mark.parametrize(("code", "kind", "blame", "_failed", "_fault"), ROWS)
def test_a_code_refuses_a_create_by_its_meaning(code: str, kind: str, blame: str, _failed: str, _fault: str) -> None:
    for status in (400, 402, 403, 404, 422, 429):
        verdict = refused(error(status, code))
        assert (verdict.kind, verdict.blame, verdict.code) == (Kind(kind), blame, code)
        assert not verdict.charged
        assert "so it is" in verdict.message
        assert code in verdict.message


@pytest.mark.parametrize(("code", "_kind", "_blame", "kind", "blame"), ROWS)
def test_a_code_ends_a_generation_by_its_meaning(code: str, _kind: str, _blame: str, kind: str, blame: str) -> None:
    verdict = ended("FAILED", error="so it is", errorCode=code)
    assert (verdict.kind, verdict.blame, verdict.code, verdict.charged) == (Kind(kind), blame, code, False)
    assert "so it is" in verdict.message
    assert ended("FAILED", error="so it is", error_code=code) == verdict


@pytest.mark.parametrize("code", [*ALL, None, "brand_new"])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_leaves_the_fate_of_a_create_open_whatever_the_code(status: int, code: str | None) -> None:
    verdict = refused(error(status, code))
    assert verdict.kind is Kind.FATE_UNKNOWN
    assert verdict.charged
    assert refused(error(status, code), paid=False).kind is Kind.TRANSIENT


@pytest.mark.parametrize("code", [*ALL, None, "brand_new", "IDEMPOTENCY_KEY_REUSED"])
def test_a_conflict_never_frees_the_key(code: str | None) -> None:
    assert refused(error(409, code)).kind is Kind.FATE_UNKNOWN


@pytest.mark.parametrize("code", ["IDEMPOTENCY_OUTCOME_UNKNOWN", "IDEMPOTENCY_KEY_REUSED", "idempotency_in_progress"])
@pytest.mark.parametrize("status", [400, 409, 422, 425, 429, 503])
def test_whatever_is_said_of_a_key_leaves_the_fate_open(status: int, code: str) -> None:
    assert refused(error(status, code)).kind is Kind.FATE_UNKNOWN
    assert refused(error(status, code), paid=False).kind is not Kind.FATE_UNKNOWN


def test_only_a_malformed_key_is_refused_for_good() -> None:
    assert refused(error(400, "INVALID_IDEMPOTENCY_KEY")).kind is Kind.INVALID


def test_the_job_that_a_refusal_names_is_kept() -> None:
    verdict = refused(error(503, "IDEMPOTENCY_OUTCOME_UNKNOWN", generationId="gen-1"))
    assert verdict.handle == {"id": "gen-1"}
    assert refused(error(409, None, generationId="gen-2")).handle == {"id": "gen-2"}
    assert refused(error(422, "voice_not_found", generationId="gen-3")).handle is None
    assert refused(error(409, None)).handle is None


def test_too_many_jobs_name_the_limit_and_the_wait() -> None:
    body = {"activeGenerations": 3, "concurrencyLimit": 3, "retryAfterSeconds": 12, "upgradeUrl": "https://sync.so"}
    verdict = refused(error(429, "concurrency_limit_reached", **body))
    assert (verdict.kind, verdict.limit, verdict.retry_after) == (Kind.NO_SEAT, 3, 12.0)


@pytest.mark.parametrize("limit", [None, 0, -1, "many", 1e9])
def test_a_limit_that_is_none_is_left_out(limit: object) -> None:
    assert refused(error(429, "concurrency_limit_reached", concurrencyLimit=limit)).limit is None


def test_too_many_requests_are_told_apart_from_too_many_jobs() -> None:
    verdict = refused(error(429, "rate_limit_exceeded"))
    assert (verdict.kind, verdict.limit, verdict.retry_after) == (Kind.RATE_LIMITED, None, None)


@pytest.mark.parametrize("code", [None, "brand_new"])
def test_a_429_that_says_nothing_is_just_limited(code: str | None) -> None:
    assert refused(error(429, code)).kind is Kind.LIMITED


def test_the_wait_stands_in_the_body_or_in_the_header() -> None:
    both = reply({"errorCode": "rate_limit_exceeded", "retryAfterSeconds": 5}, 429, retry_after="9")
    assert refused(both).retry_after == 5.0
    assert refused(reply({}, 429, retry_after="9")).retry_after == 9.0
    assert refused(reply({"retryAfterSeconds": -1}, 429)).retry_after is None


@pytest.mark.parametrize(
    ("status", "paid", "safe", "blame"),
    [
        (400, Kind.INVALID, Kind.INVALID, "job"),
        (401, Kind.AUTH, Kind.AUTH, "account"),
        (402, Kind.NO_CREDIT, Kind.NO_CREDIT, "account"),
        (403, Kind.AUTH, Kind.AUTH, "account"),
        (404, Kind.NOT_FOUND, Kind.NOT_FOUND, "account"),
        (408, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
        (409, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
        (413, Kind.INVALID, Kind.INVALID, "job"),
        (422, Kind.INVALID, Kind.INVALID, "job"),
        (429, Kind.LIMITED, Kind.LIMITED, "account"),
        (500, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
        (503, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
        (504, Kind.FATE_UNKNOWN, Kind.TRANSIENT, "vendor"),
    ],
)
@pytest.mark.parametrize("body", [{"message": "words"}, {"message": ["words"]}, {"error": "words"}, b"<p>words</p>"])
def test_without_a_code_the_status_speaks(status: int, paid: Kind, safe: Kind, blame: str, body: object) -> None:
    verdict = refused(reply(body, status))
    assert verdict.kind is paid
    assert "words" in verdict.message
    looked = refused(reply(body, status), paid=False)
    assert (looked.kind, looked.blame) == (safe, blame)


def test_a_look_at_a_deleted_job_says_so() -> None:
    assert refused(error(404, "generation_not_found"), paid=False).kind is Kind.NOT_FOUND


def test_a_refusal_names_field_and_request() -> None:
    message = refused(error(400, None, field="input[0].url", requestId="req-1")).message
    assert "field input[0].url" in message
    assert "request req-1" in message


@pytest.mark.parametrize(
    ("status", "kind", "blame"), [("FAILED", "job_failed", "vendor"), ("REJECTED", "invalid", "job")]
)
@pytest.mark.parametrize("code", [None, "brand_new"])
@pytest.mark.parametrize("words", [None, "", "An error occurred", ["a", "b"], {"message": "x"}])
def test_an_end_without_a_known_code_is_the_vendors_unless_it_rejected(
    status: str, kind: str, blame: str, code: str | None, words: object
) -> None:
    verdict = ended(status, error=words, errorCode=code)
    assert (verdict.kind, verdict.blame, verdict.charged) == (Kind(kind), blame, False)


def test_a_rejection_with_a_code_goes_by_the_code() -> None:
    assert ended("REJECTED", errorCode="generation_input_video_inaccessible").kind is Kind.MEDIA_UNREACHABLE
    assert ended("REJECTED", errorCode="account_payment_required").kind is Kind.NO_CREDIT
    assert ended("REJECTED", errorCode="controller_timeout").kind is Kind.INVALID


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": " "}, {"id": []}, [], "ok", 5])
def test_a_create_that_is_answered_without_an_id_has_an_unknown_fate(body: object) -> None:
    assert refused(reply(body, 201)).kind is Kind.FATE_UNKNOWN


@pytest.mark.parametrize(("sent", "kind"), [(True, Kind.FATE_UNKNOWN), (False, Kind.TRANSIENT)])
def test_a_lost_reply_leaves_the_fate_open_only_if_the_request_left(sent: bool, kind: Kind) -> None:
    assert refused(Fault(sent=sent, message="reset")).kind is kind
