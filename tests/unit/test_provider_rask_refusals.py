"""What Rask's refusals mean, by status and words. Source: its fact sheet, section 8."""

from __future__ import annotations

import pytest
from tests.unit.flows import reply
from tests.unit.rask_replies import PROJECT, provider

from viseme.failures import Kind
from viseme.providers.base import Outcome, Request, Verdict

CALLS = provider().calls
READ = CALLS.project(PROJECT)
PROJECTS = CALLS.create({})
GENERATE = CALLS.generate(PROJECT)
RUN = CALLS.run(PROJECT, several=True, free=False, claim="")
UPLOAD = CALLS.link("https://a.example/v.mp4")
PAID = (PROJECTS, GENERATE, RUN)


def verdict(request: Request, outcome: Outcome) -> Verdict:
    found = provider().verdict(request, outcome)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("status", "kind", "blame"),
    [
        (400, Kind.INVALID, "job"),
        (401, Kind.AUTH, "account"),
        (402, Kind.NO_CREDIT, "account"),
        (409, Kind.INVALID, "job"),
        (413, Kind.INVALID, "job"),
        (415, Kind.INVALID, "job"),
        (418, Kind.INVALID, "job"),
        (422, Kind.INVALID, "job"),
        (429, Kind.LIMITED, "account"),
    ],
)
def test_a_status_means_the_same_everywhere(status: int, kind: Kind, blame: str) -> None:
    for request in (READ, UPLOAD, *PAID):
        found = verdict(request, reply({"detail": "words"}, status))
        assert (found.kind, found.blame, found.charged) == (kind, blame, False)
        assert "words" in found.message
        assert f"HTTP {status}" in found.message


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_server_error_passes_but_leaves_the_fate_of_a_paid_call_open(status: int) -> None:
    for request in (READ, UPLOAD):
        assert verdict(request, reply(b"<html>", status)).kind is Kind.TRANSIENT
    for request in PAID:
        found = verdict(request, reply(b"<html>", status))
        assert (found.kind, found.charged) == (Kind.FATE_UNKNOWN, True)


@pytest.mark.parametrize("words", ["Not enough minutes", "Upgrade your plan", "The subscription has ended"])
def test_a_403_about_minutes_or_the_plan_is_about_money(words: str) -> None:
    for request in (READ, UPLOAD, *PAID):
        assert verdict(request, reply({"detail": words}, 403)).kind is Kind.NO_CREDIT


def test_any_other_403_is_somebody_elses_thing_or_no_permission() -> None:
    assert verdict(READ, reply({"detail": "Forbidden"}, 403)).kind is Kind.NOT_FOUND
    for request in (UPLOAD, PROJECTS):
        assert verdict(request, reply({"detail": "Forbidden"}, 403)).kind is Kind.AUTH
    for request in (GENERATE, RUN):  # one project is one job's matter, and keeps no other job back
        assert verdict(request, reply({"detail": "Forbidden"}, 403)).kind is Kind.INVALID


@pytest.mark.parametrize("status", [404, 405])
def test_a_put_that_is_not_there_is_a_matter_of_configuration(status: int) -> None:
    for request in (RUN, CALLS.check_face(PROJECT)):
        found = verdict(request, reply({"detail": "Not Found"}, status))
        assert found.kind is Kind.NOT_FOUND
        assert "check the endpoint configuration: base_url, lipsync_path" in found.message


def test_a_list_of_details_is_told_with_its_places() -> None:
    details = [
        {"loc": ["body", "dst_lang"], "msg": "Input should match the pattern", "type": "string_pattern_mismatch"},
        {"loc": ["body", "segments", 0], "msg": "Field required", "type": "missing"},
    ]
    found = verdict(PROJECTS, reply({"detail": details}, 422))
    assert "body.dst_lang: Input should match the pattern; body.segments.0: Field required" in found.message
    assert found.code == "string_pattern_mismatch"


@pytest.mark.parametrize("body", [b"", b"<html>no", {"detail": None}, {"detail": []}, [], {"message": "x"}])
def test_a_refusal_without_details_is_a_sentence_all_the_same(body: object) -> None:
    found = verdict(READ, reply(body, 400))
    assert found.message.startswith("rask refused with HTTP 400: ")
    assert found.message.endswith("; change the job and run it again")


def test_retry_after_is_passed_on() -> None:
    assert verdict(READ, reply({"detail": "x"}, 429, retry_after="7")).retry_after == 7.0


def test_a_good_reply_makes_sense_or_does_not() -> None:
    ours = provider()
    assert ours.verdict(READ, reply({})) is None
    assert verdict(READ, reply(b"")).kind is Kind.TRANSIENT
    assert verdict(PROJECTS, reply(b"")).kind is Kind.FATE_UNKNOWN
    for request in (GENERATE, RUN, CALLS.check_face(PROJECT)):
        assert ours.verdict(request, reply(b"", 204)) is None
        assert verdict(request, reply(b"<html>")).kind in (Kind.FATE_UNKNOWN, Kind.TRANSIENT)
