"""Rask's projects, from their making to a dub that may be lip-synced. Source: its fact sheet, sections 3 to 5."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.flows import KEY, drive, intent, reply
from tests.unit.rask_replies import DUBBED, MEDIA, NOW, PROJECT, T1, T2, T3, info, job, of_project, project, provider

from viseme.attempts import Handle
from viseme.failures import Kind
from viseme.providers.base import Absent, Fault, Found, Outcome, Refused, Role, Seen, Undecided
from viseme.providers.rask.statuses import PHASES
from viseme.results import Reason

NOT_BEGUN = ("created", "uploading", "uploaded", None)
WORKING = [
    "transcription_started",
    "transcription_done",
    "transcribe_segments_started",
    "transcribe_segments_done",
    "separate_background_started",
    "separate_background_done",
    "determine_speakers_started",
    "determine_speakers_done",
    "voice_suggest_started",
    "voice_suggest_done",
    "translation_started",
    "translation_done",
    "voice_update_started",
    "voice_update_done",
    "voiceover_started",
    "voiceover_done",
    "merging_started",
]
EDITED = ("transcript_edited", "voice_edited")
FAILED = [
    "upload_failed",
    "transcription_failed",
    "transcribe_segments_failed",
    "separate_background_failed",
    "determine_speakers_failed",
    "voice_suggest_failed",
    "translation_failed",
    "voice_update_failed",
    "voiceover_failed",
    "merging_failed",
    "failed",
    "no_audio",
    "no_words",
    "forbidden_link",
]
OF_THE_JOB = ("no_audio", "no_words", "forbidden_link", "upload_failed")
HANDLE: Handle = {"id": PROJECT, "stage": "project"}


def looked(handle: Handle, *outcomes: Outcome) -> Any:
    ours = provider()
    return drive(ours, ours.poll(handle, now=NOW), *outcomes).result


def seen(status: str | None, handle: Handle = HANDLE, **given: Any) -> Any:
    return looked(handle, reply(project(status, **given)))


def test_the_table_has_all_37_statuses() -> None:
    documented = {*NOT_BEGUN, *WORKING, "merging_done", *EDITED, *FAILED} - {None}
    assert set(PHASES) == documented
    assert len(documented) == 37


@pytest.mark.parametrize("stage", ["project", "dub", "redub"])
@pytest.mark.parametrize("status", [*NOT_BEGUN, *WORKING, "polishing_started", "completed", "failed_over"])
def test_a_project_is_alive_until_a_status_says_that_it_ended(stage: str, status: str | None) -> None:
    observation = seen(status, {"id": PROJECT, "stage": stage})
    assert observation.seen is (Seen.QUEUED if status in NOT_BEGUN else Seen.RUNNING)
    assert observation.park is None
    assert observation.status == (status or "none")


@pytest.mark.parametrize("stage", ["project", "dub", "redub"])
@pytest.mark.parametrize("status", [*FAILED, "polishing_failed"])
def test_a_failed_project_fails_its_job_with_the_status_in_the_message(stage: str, status: str) -> None:
    observation = seen(status, {"id": PROJECT, "stage": stage})
    assert observation.seen is Seen.FAILED
    verdict = observation.verdict
    assert status in verdict.message
    assert PROJECT in verdict.message
    assert verdict.code == status
    assert verdict.blame == ("job" if status in OF_THE_JOB else "vendor")
    assert verdict.charged, "whether failed dubs are given back is not documented"


@pytest.mark.parametrize("status", EDITED)
@pytest.mark.parametrize("stage", ["project", "dub", "redub", "face", "ready"])
def test_an_edited_project_waits_for_a_person(stage: str, status: str) -> None:
    ours = provider()
    handle: Handle = {"id": PROJECT, "stage": stage, "since": NOW}
    first = [reply(info())] if stage in ("face", "ready") else []
    observation = drive(ours, ours.poll(handle, now=NOW), *first, reply(project(status))).result
    assert not observation.seen.terminal
    assert observation.park is Reason.NEEDS_PERSON
    assert "somebody edited" in observation.verdict.message
    assert observation.handle["after"] == T1


def test_a_project_is_dubbed_when_both_status_and_video_say_so() -> None:
    assert seen("merging_done").seen is Seen.SUCCEEDED
    assert seen(" Merging_Done ", translated_video=DUBBED).seen is Seen.SUCCEEDED
    assert seen("merging_done", translated_video=None).seen is Seen.RUNNING
    assert seen("merging_done", translated_video="").seen is Seen.RUNNING
    assert seen("merging_started", translated_video=DUBBED).seen is Seen.RUNNING


def test_the_dub_from_before_an_edit_is_no_dub_of_the_edit() -> None:
    handle = seen("transcript_edited", stamp=T2).handle
    assert seen("transcript_edited", handle, stamp=T2).park is Reason.NEEDS_PERSON
    assert seen("merging_done", handle, stamp=T1).seen is Seen.RUNNING
    assert seen("voiceover_started", handle, stamp=T2).park is None
    assert seen("merging_done", handle, stamp=T3).seen is Seen.SUCCEEDED


# -- making ----------------------------------------------------------------------------------------------------------


def making(*outcomes: Outcome) -> Any:
    ours = provider()
    return drive(ours, ours.create(job(), intent(stage="project"), {"media": {"id": MEDIA}}), *outcomes)


def test_a_project_without_an_id_has_an_unknown_fate() -> None:
    with pytest.raises(Refused, match="looks for it by its name") as caught:
        making(reply({"status": "created"}))
    assert (caught.value.verdict.kind, caught.value.verdict.charged) == (Kind.FATE_UNKNOWN, True)


def test_an_unknown_medium_or_transcript_is_the_jobs_fault() -> None:
    with pytest.raises(Refused, match="transcript") as caught:
        making(reply({"detail": "Transcription not found"}, 404))
    assert (caught.value.verdict.kind, caught.value.verdict.blame) == (Kind.INVALID, "job")


@pytest.mark.parametrize(
    "outcome",
    [Fault(sent=True, message="reset"), reply({"detail": "x"}, 500), reply(b"<html>", 502), reply(b"<html>", 200)],
)
def test_a_lost_reply_to_a_create_leaves_its_fate_open(outcome: Outcome) -> None:
    with pytest.raises(Refused) as caught:
        making(outcome)
    assert caught.value.verdict.kind is Kind.FATE_UNKNOWN


def found(*pages: object, after: float = 70.0) -> Any:
    ours = provider(stale_grace="60s")
    lost = intent(stage="project", at=NOW)
    return drive(ours, ours.reconcile(job(), lost, NOW + after), *map(reply, pages))


def rows(*names: str) -> list[dict[str, object]]:
    return [{"id": f"id-of-{name}", "name": name, "created_at": T1} for name in names]


def test_a_lost_project_is_found_by_its_exact_name() -> None:
    played = found({"total": 2, "offset": 0, "projects": rows(f"{KEY}-x", KEY)})
    assert played.request.url == f"https://api.rask.ai/v2/projects?name={KEY}&offset=0&limit=100"
    assert played.result == Found(handle={"id": f"id-of-{KEY}", "stage": "project"})


def test_the_whole_list_is_read_before_absence_is_told() -> None:
    first = {"total": 103, "offset": 0, "projects": rows(*(f"a{n}" for n in range(100)))}
    played = found(first, {"total": 103, "offset": 100, "projects": rows("b", "c", KEY)})
    assert isinstance(played.result, Found)
    assert "offset=100" in played.requests[1].url
    assert isinstance(found(first, {"total": 103, "offset": 100, "projects": rows("b", "c", "d")}).result, Absent)
    capped = {"total": 3, "projects": rows("a", "b")}
    assert isinstance(found(capped, {"total": 3, "projects": rows(KEY)}).result, Found)


@pytest.mark.parametrize("body", [{"total": 0, "projects": []}, {"projects": []}, {"total": 1, "projects": []}])
def test_a_name_that_the_list_lacks_was_never_used_once_what_may_come_late_had_its_time(body: object) -> None:
    assert isinstance(found(body).result, Absent)
    assert isinstance(found(body, after=60.0).result, Undecided)


def test_a_list_without_a_total_is_read_until_it_has_no_more() -> None:
    pages = [{"projects": rows("a", "b")}, {"projects": rows("c")}, {"projects": []}]
    assert isinstance(found(*pages).result, Absent)
    assert isinstance(found(*pages[:2], {"projects": rows(KEY)}).result, Found)


@pytest.mark.parametrize("body", [{}, [], {"projects": None}, {"detail": "x"}])
def test_a_list_that_is_none_proves_nothing(body: object) -> None:
    assert isinstance(found(body).result, Undecided)


# -- existing projects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["dub", "segments"])
@pytest.mark.parametrize(
    "outcome",
    [
        reply({"detail": "Project not found"}, 404),
        reply({"detail": "Forbidden"}, 403),
        reply({"detail": [{"loc": ["path", "id"], "msg": "Input should be a valid UUID", "type": "uuid"}]}, 422),
    ],
)
def test_somebody_elses_project_fails_the_job_at_once(stage: str, outcome: Outcome) -> None:
    ours, given = provider(), of_project(generate=stage == "segments")
    handle = drive(ours, ours.create(given, intent(stage=stage), {})).result.handle
    assert handle == {"id": PROJECT, "stage": stage, "given": True}
    observation = looked(handle, outcome)
    assert observation.seen is Seen.FAILED
    verdict = observation.verdict
    assert (verdict.kind, verdict.blame, verdict.charged) == (Kind.INVALID, "job", False)
    assert f"no project {PROJECT} for this account" in verdict.message


def test_a_project_of_ours_that_is_not_in_sight_yet_is_looked_at_again() -> None:
    with pytest.raises(Refused) as caught:
        looked(HANDLE, reply({"detail": "Project not found"}, 404))
    assert caught.value.verdict.kind is Kind.NOT_FOUND


def test_something_else_than_a_project_is_not_taken_for_one() -> None:
    for body in ([], "x", 1, {}):
        with pytest.raises(Refused, match="something that is no project"):
            looked(HANDLE, reply(body))


# -- dubbing again ---------------------------------------------------------------------------------------------------

SEGMENTS: Handle = {"id": PROJECT, "stage": "segments", "given": True}


def segments(*states: object) -> Outcome:
    return reply({"segments": [{"id": f"s{n}", "status": state} for n, state in enumerate(states)]})


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (segments("updated", "done"), Seen.SUCCEEDED),
        (segments(), Seen.SUCCEEDED),
        (segments("updated", "processing"), Seen.RUNNING),
        (segments("processing", "error"), Seen.FAILED),
        (reply({"detail": "x"}, 404), Seen.SUCCEEDED),
        (reply({"detail": "x"}, 400), Seen.SUCCEEDED),
        (reply([]), Seen.SUCCEEDED),
        (reply({"detail": "x"}, 503), Seen.RUNNING),
    ],
)
def test_a_new_dub_waits_for_edited_segments(outcome: Outcome, expected: Seen) -> None:
    observation = looked(SEGMENTS, reply(project("transcript_edited")), reply(info("done")), outcome)
    assert observation.seen is expected
    if expected is Seen.FAILED:
        assert "s1" in observation.verdict.message


def test_segments_that_cannot_be_read_hold_a_new_dub_up_only_for_a_while() -> None:
    handle, looks = SEGMENTS, 0
    while True:
        observation = looked(handle, reply(project()), reply(info()), reply({"detail": "x"}, 503))
        handle, looks = observation.handle or handle, looks + 1
        if observation.seen is Seen.SUCCEEDED:
            break
    assert looks == 3


def test_a_new_dub_waits_for_a_dub_and_a_lip_sync_under_way() -> None:
    assert looked(SEGMENTS, reply(project("voiceover_started"))).seen is Seen.RUNNING
    assert looked(SEGMENTS, reply(project()), reply(info("started"))).seen is Seen.RUNNING


def ordered(*outcomes: Outcome) -> Any:
    ours = provider()
    return drive(ours, ours.create(of_project(generate=True), intent(stage="redub"), {}), *outcomes)


def test_a_new_dub_is_ordered_once_the_old_one_is_noted() -> None:
    played = ordered(reply(project("transcript_edited", T2)), reply(project("merging_done")))
    assert played.saved == ({"id": PROJECT, "stage": "redub", "generated": T2, "was": "transcript_edited"},)
    request = played.requests[1]
    assert (request.method, request.role, request.json) == ("POST", Role.PAID, None)
    assert request.url == f"https://api.rask.ai/v2/projects/{PROJECT}/generate"
    assert played.result.handle == played.saved[0]


@pytest.mark.parametrize("body", [reply(b"", 204), reply({"message": "internal error"})])
def test_a_reply_that_says_nothing_of_the_new_dub_is_no_yes(body: Outcome) -> None:
    with pytest.raises(Refused) as caught:
        ordered(reply(project("transcript_edited", T2)), body)
    assert caught.value.verdict.kind is Kind.FATE_UNKNOWN


def test_a_new_dub_is_not_ordered_beside_another() -> None:
    with pytest.raises(Refused) as caught:
        ordered(reply(project("voiceover_started")))
    assert caught.value.verdict.park is Reason.NEEDS_PERSON


@pytest.mark.parametrize(
    ("status", "stamp", "expected"),
    [
        ("merging_done", T1, Seen.RUNNING),  # the dub before, also where its edit came later
        ("merging_done", T2, Seen.RUNNING),
        ("transcript_edited", T2, Seen.RUNNING),
        ("translation_failed", T2, Seen.RUNNING),
        ("voiceover_started", T3, Seen.RUNNING),
        ("merging_done", T3, Seen.SUCCEEDED),
        ("merging_done", "2026-11-20T10:05:00.001+00:00", Seen.SUCCEEDED),
        ("merging_failed", T3, Seen.FAILED),
    ],
)
def test_after_generate_only_a_later_stamp_counts(status: str, stamp: str, expected: Seen) -> None:
    handle: Handle = {"id": PROJECT, "stage": "redub", "generated": T2, "was": "transcript_edited"}
    observation = seen(status, handle, stamp=stamp)
    assert observation.seen is expected
    assert observation.park is None


def test_without_stamps_the_new_dub_has_to_be_seen_at_work() -> None:
    handle: Handle = {"id": PROJECT, "stage": "redub", "generated": None, "was": "merging_done"}
    assert seen("merging_done", handle, stamp=None).seen is Seen.RUNNING
    worked = seen("voiceover_started", handle, stamp=None).handle
    assert seen("merging_done", worked, stamp=None).seen is Seen.SUCCEEDED


def settled(status: str, stamp: str | None, after: float, saved: Handle | None = None) -> Any:
    ours = provider(stale_grace="60s")
    noted: Handle = {"id": PROJECT, "stage": "redub", "generated": T2, "was": "transcript_edited"}
    lost = intent(stage="redub", saved=saved or noted)
    return drive(
        ours, ours.reconcile(of_project(generate=True), lost, lost.at + after), reply(project(status, stamp))
    ).result


@pytest.mark.parametrize(
    ("status", "stamp", "after", "expected"),
    [
        ("transcript_edited", T2, 1, Undecided),
        ("transcript_edited", T2, 60, Undecided),
        ("transcript_edited", T2, 61, Absent),
        ("voiceover_started", T3, 1, Found),
        ("merging_done", T3, 1, Found),
        ("merging_done", T1, 61, Found),
        ("merging_failed", T3, 61, Found),
    ],
)
def test_a_lost_order_for_a_new_dub_is_settled_by_the_project(
    status: str, stamp: str, after: float, expected: type
) -> None:
    assert isinstance(settled(status, stamp, after), expected)


def test_a_lost_order_without_stamps_is_a_persons_to_settle() -> None:
    noted: Handle = {"id": PROJECT, "stage": "redub", "generated": None, "was": "merging_done"}
    assert isinstance(settled("merging_done", None, 1000, noted), Undecided)
    ours = provider()
    nothing = drive(ours, ours.reconcile(of_project(generate=True), intent(stage="redub"), NOW)).result
    assert isinstance(nothing, Undecided)
