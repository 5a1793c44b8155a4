"""Rask's face check and lip-sync, with every trap of its fact sheet (sections 4 to 8 and 10)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.flows import drive, intent, reply
from tests.unit.rask_replies import (
    NOW,
    PROJECT,
    RESULT,
    SECOND,
    T1,
    T2,
    T3,
    info,
    job,
    of_project,
    project,
    provider,
    run_handle,
)

from viseme.attempts import Handle
from viseme.failures import Kind
from viseme.providers.base import Absent, Accepted, Fault, Found, Outcome, Refused, Role, Seen, Undecided
from viseme.results import Reason

FACE: Handle = {"id": PROJECT, "stage": "face", "since": NOW}
TAKEN = {"tasks_in_lipsync_queue": 1, "lipsync_task_status": "started"}
NO_CHECK = {"check_face_task_status": None, "video_has_face": None}


# -- the face check --------------------------------------------------------------------------------------------------


def faced(now: float, *outcomes: Outcome, handle: Handle | None = None) -> Any:
    ours = provider(face_check_grace="60s")
    return drive(ours, ours.poll(handle or FACE, now=now), *outcomes)


@pytest.mark.parametrize("has_face", [True, "True", "true", 1, "1"])
@pytest.mark.parametrize("status", ["done", "DONE", "outdated"])
def test_a_face_that_was_found_lets_the_lip_sync_begin(status: str, has_face: object) -> None:
    found = info(check_face_task_status=status, video_has_face=has_face)
    assert faced(NOW, reply(found), reply(project())).result.seen is Seen.SUCCEEDED


@pytest.mark.parametrize("has_face", [False, "False", "false", 0, "0"])
@pytest.mark.parametrize("status", ["done", "outdated"])
def test_without_a_face_the_job_ends_before_a_lip_sync_is_billed(status: str, has_face: object) -> None:
    played = faced(NOW, reply(info(check_face_task_status=status, video_has_face=has_face)))
    verdict = played.result.verdict
    assert played.result.seen is Seen.FAILED
    assert (verdict.kind, verdict.blame) == (Kind.INVALID, "job")
    assert PROJECT in verdict.message
    assert "face" in verdict.message
    assert [request.method for request in played.requests] == ["GET"]


@pytest.mark.parametrize("found", [{"video_has_face": False}, {"check_face_task_status": "failed"}])
@pytest.mark.parametrize(("before", "charged"), [("dub", False), ("project", True), ("redub", True)])
def test_only_a_dub_of_ours_was_charged(found: dict[str, Any], before: str, charged: bool) -> None:
    ours = provider()
    flow = ours.create(of_project(), intent(stage="face"), {before: {"id": PROJECT}})
    handle = drive(ours, flow).result.handle
    assert faced(NOW, reply(info(**found)), handle=handle).result.verdict.charged is charged


def test_a_failed_face_check_names_the_project_and_whom_to_write_to() -> None:
    seen = faced(NOW, reply(info(check_face_task_status="failed", video_has_face=None))).result
    assert seen.seen is Seen.FAILED
    assert PROJECT in seen.verdict.message
    assert "support@rask.ai" in seen.verdict.message


@pytest.mark.parametrize("status", ["started", "searching"])
def test_a_face_check_under_way_is_waited_for(status: str) -> None:
    seen = faced(NOW + 1000, reply(info(check_face_task_status=status, video_has_face=None))).result
    assert (seen.seen, seen.status) == (Seen.RUNNING, status)


def test_a_face_check_is_begun_by_hand_only_after_the_grace_and_again_only_if_nothing_ever_comes_of_it() -> None:
    early = faced(NOW + 59, reply(info(**NO_CHECK)))
    assert [request.method for request in early.requests] == ["GET"]
    late = faced(NOW + 60, reply(info(**NO_CHECK)), reply(project()), reply({"check_face_task_status": "started"}))
    put = late.requests[-1]
    assert (put.method, put.url) == ("PUT", f"https://api.rask.ai/v2/projects/{PROJECT}/check_face")
    assert (put.role, put.json, put.classes) == (Role.SAFE, None, ("all",))
    soon = faced(NOW + 659, reply(info(**NO_CHECK)), handle=late.result.handle)
    assert [request.method for request in soon.requests] == ["GET"]
    assert not soon.result.seen.terminal
    again = faced(NOW + 660, reply(info(**NO_CHECK)), reply(project()), reply({}), handle=late.result.handle)
    assert [request.method for request in again.requests] == ["GET", "GET", "PUT"]


def test_a_lost_reply_to_the_face_check_is_answered_by_reading_first() -> None:
    lost = faced(NOW + 60, reply(info(**NO_CHECK)), reply(project()), Fault(sent=True, message="reset"))
    handle = lost.result.handle
    soon = faced(NOW + 70, reply(info(**NO_CHECK)), handle=handle)
    assert [request.method for request in soon.requests] == ["GET"]
    begun = faced(NOW + 200, reply(info(check_face_task_status="started", video_has_face=None)), handle=handle)
    assert [request.method for request in begun.requests] == ["GET"]
    never = faced(NOW + 200, reply(info(**NO_CHECK)), reply(project()), reply({}), handle=handle)
    assert [request.method for request in never.requests] == ["GET", "GET", "PUT"]


def test_no_face_check_is_begun_while_the_project_is_not_dubbed() -> None:
    for status in ("voiceover_started", "voice_edited"):
        played = faced(NOW + 100, reply(info(**NO_CHECK)), reply(project(status)))
        assert [request.method for request in played.requests] == ["GET", "GET"]
        assert not played.result.seen.terminal


def test_a_refused_face_check_is_read_again_before_it_is_told() -> None:
    refused = reply({"detail": "It is under way"}, 409)
    begun = faced(
        NOW + 60,
        reply(info(**NO_CHECK)),
        reply(project()),
        refused,
        reply(info(check_face_task_status="started", video_has_face=None)),
    )
    assert begun.result.seen is Seen.RUNNING
    told = faced(NOW + 60, reply(info(**NO_CHECK)), reply(project()), refused, reply(info(**NO_CHECK)))
    assert told.result.seen is Seen.FAILED
    assert "It is under way" in told.result.verdict.message


@pytest.mark.parametrize(
    ("status", "detail", "reason"),
    [(402, "x", Reason.NO_CREDIT), (403, "not in your plan", Reason.NO_CREDIT), (405, "x", Reason.NEEDS_PERSON)],
)
def test_a_face_check_that_the_account_may_not_begin_waits_for_a_person(
    status: int, detail: str, reason: Reason
) -> None:
    seen = faced(NOW + 60, reply(info(**NO_CHECK)), reply(project()), reply({"detail": detail}, status)).result
    assert seen.park is reason
    assert "endpoint configuration" in seen.verdict.message or reason is Reason.NO_CREDIT


def test_a_check_that_is_done_and_says_nothing_is_no_face_and_no_failure() -> None:
    unsaid = info(video_has_face=None)
    assert faced(NOW + 5, reply(unsaid)).result.park is None
    assert faced(NOW + 60, reply(unsaid)).result.park is Reason.UNCONFIRMED


@pytest.mark.parametrize("stage", ["face", "ready"])
def test_another_lip_sync_under_way_is_waited_for(stage: str) -> None:
    handle: Handle = {**FACE, "stage": stage}
    assert faced(NOW, reply(info("started")), reply(project()), handle=handle).result.seen is Seen.RUNNING
    assert faced(NOW, reply(info("done")), reply(project()), handle=handle).result.seen is Seen.SUCCEEDED


# -- the order -------------------------------------------------------------------------------------------------------


def ordering(*outcomes: Outcome, stage: str = "lipsync", handle: Handle | None = None, **options: Any) -> Any:
    ours = provider()
    handles = {"face": handle or {"id": PROJECT, "stage": "face"}}
    return drive(ours, ours.create(of_project(**options), intent(stage=stage), handles), *outcomes)


def refused(*outcomes: Outcome, **given: Any) -> Any:
    with pytest.raises(Refused) as caught:
        ordering(*outcomes, **given)
    return caught.value.verdict


def test_what_was_in_sight_before_is_saved_before_the_order_leaves() -> None:
    played = ordering(reply(project()), reply(info("done")), reply(TAKEN))
    (saved,) = played.saved
    assert saved["before"] == {"status": "done", "path": RESULT, "progress": 100.0}
    assert (saved["id"], saved["mode"], saved["version"]) == (PROJECT, "full", T1)
    assert played.result.handle == saved


def test_a_copy_from_before_the_preview_does_not_make_the_preview_new() -> None:
    ours = provider()
    previewed = run_handle(mode="preview", stage="preview", result=RESULT)
    of_stages = {"face": {"id": PROJECT, "stage": "face"}, "preview": previewed}
    order = ours.create(of_project(preview="first"), intent(), of_stages)
    taken = drive(ours, order, reply(project()), reply(info(None)), reply(TAKEN)).result
    seen = drive(ours, ours.poll({**taken.handle, "at": NOW}, now=NOW + 1), reply(info("done"))).result
    assert seen.seen is Seen.RUNNING
    done = drive(ours, ours.poll(seen.handle, now=NOW + 2), reply(info("done", lipsync_result_path=SECOND))).result
    assert done.seen is Seen.SUCCEEDED


@pytest.mark.parametrize(
    ("body", "ahead"),
    [
        ({"tasks_in_lipsync_queue": "4"}, 4),
        ({"tasks_in_lipsync_queue": None}, None),
        ({"lipsync_task_status": ""}, None),
    ],
)
def test_any_2xx_is_a_yes(body: object, ahead: int | None) -> None:
    accepted = ordering(reply(project()), reply(info()), reply(body, 202)).result
    assert (accepted.observation.seen, accepted.observation.queue_position) == (Seen.QUEUED, ahead)


@pytest.mark.parametrize("body", [{}, b"", {"message": "internal error"}])
def test_a_reply_that_says_nothing_of_the_order_is_asked_after(body: object) -> None:
    """Something on the way may have answered in the vendor's place, and the order never arrived."""
    said = reply(body, 204 if body == b"" else 200)
    assert ordering(reply(project()), reply(info()), said, reply(info("started"))).result.handle["begun"]
    assert ordering(reply(project()), reply(info()), said, reply(info("done"))).result.observation is None
    for shown in (reply(info()), reply({"detail": "x"}, 404)):
        assert refused(reply(project()), reply(info()), said, shown).kind is Kind.FATE_UNKNOWN
    assert refused(reply(project()), reply(info("done")), said, reply(info("done"))).kind is Kind.FATE_UNKNOWN


def test_each_version_and_mode_is_claimed_apart() -> None:
    def claim(stage: str, stamp: str | None) -> str:
        played = ordering(reply(project(stamp=stamp)), reply(info()), reply(TAKEN), stage=stage, preview="first")
        return played.requests[-1].claim

    claims = [claim(stage, stamp) for stage in ("preview", "lipsync") for stamp in (T1, T2, None)]
    assert len(set(claims)) == 6
    assert claims[0] == f"{PROJECT}@{T1}#preview"


@pytest.mark.parametrize(
    ("status", "park"),
    [
        ("transcript_edited", Reason.NEEDS_PERSON),
        ("voice_edited", Reason.NEEDS_PERSON),
        ("voiceover_started", Reason.NEEDS_PERSON),
        (None, Reason.NEEDS_PERSON),
        ("merging_failed", None),
    ],
)
def test_nothing_is_ordered_of_a_project_that_is_not_dubbed(status: str | None, park: Reason | None) -> None:
    verdict = refused(reply(project(status)))
    assert verdict.park is park
    assert PROJECT in verdict.message


def test_nothing_is_ordered_before_the_dubbed_video_is_there() -> None:
    assert refused(reply(project(translated_video=None))).park is Reason.NEEDS_PERSON


def test_nothing_is_ordered_of_the_dub_before_an_edit() -> None:
    edited: Handle = {"id": PROJECT, "stage": "face", "after": T2}
    assert refused(reply(project(stamp=T1)), handle=edited).park is Reason.NEEDS_PERSON
    assert isinstance(ordering(reply(project(stamp=T3)), reply(info()), reply(TAKEN), handle=edited).result, Accepted)


def test_nothing_is_ordered_beside_another_lip_sync() -> None:
    assert refused(reply(project()), reply(info("started"))).park is Reason.NEEDS_PERSON


@pytest.mark.parametrize(("has_face", "park"), [(False, None), (None, Reason.NEEDS_PERSON)])
def test_nothing_is_ordered_without_a_face(has_face: bool | None, park: Reason | None) -> None:
    """One that was found before, and is not told of now, is asked for by a later run: the dub is paid for."""
    verdict = refused(reply(project()), reply(info(video_has_face=has_face)))
    assert (verdict.kind, verdict.park) == (Kind.INVALID, park)
    assert "face" in verdict.message


@pytest.mark.parametrize("status", [404, 403])
def test_a_project_that_has_gone_is_the_jobs_trouble_alone(status: int) -> None:
    assert refused(reply({"detail": "gone"}, status)).kind is Kind.INVALID


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Fault(sent=True, message="reset"), Kind.FATE_UNKNOWN),
        (Fault(sent=False, message="refused"), Kind.TRANSIENT),
        (reply({"detail": "x"}, 500), Kind.FATE_UNKNOWN),
        (reply(b"<html>", 200), Kind.FATE_UNKNOWN),
        (reply({"detail": "Too many tasks are under way"}, 429), Kind.LIMITED),
        (reply({"detail": "Not enough minutes"}, 402), Kind.NO_CREDIT),
        (reply({"detail": "Your plan has no lip-sync"}, 403), Kind.NO_CREDIT),
        (reply({"detail": "x"}, 401), Kind.AUTH),
    ],
)
def test_what_is_no_refusal_of_the_state_of_things_is_told_as_it_is(outcome: Outcome, kind: Kind) -> None:
    verdict = refused(reply(project()), reply(info()), outcome)
    assert (verdict.kind, verdict.park) == (kind, None)


@pytest.mark.parametrize("status", [404, 405])
def test_an_endpoint_that_is_not_there_is_a_matter_of_configuration(status: int) -> None:
    verdict = refused(reply(project()), reply(info()), reply({"detail": "Not Found"}, status))
    assert verdict.kind is Kind.NOT_FOUND
    assert "check the endpoint configuration" in verdict.message


def test_without_free_minutes_a_preview_waits_alone_and_costs_nothing() -> None:
    out = reply({"detail": "No free lip-sync minutes are left"}, 402)
    verdict = refused(reply(project()), reply(info()), out, stage="preview", preview="first")
    assert (verdict.kind, verdict.park) == (Kind.NO_CREDIT, Reason.NO_CREDIT)


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize(
    ("before", "after", "adopted"),
    [
        (info(), info("started"), True),
        (info(), info("done"), True),
        (info("done"), info("done", lipsync_result_path=SECOND), True),
        (info("done"), info("done"), False),
        (info("done"), info("done", lipsync_result_path=f"{RESULT}&again"), False),
        (info(), info(), False),
        (info("failed"), info("failed"), False),
    ],
)
def test_a_refused_order_is_read_again_before_it_is_told(
    status: int, before: dict[str, Any], after: dict[str, Any], adopted: bool
) -> None:
    outcomes = (reply(project()), reply(before), reply({"detail": "A lip-sync is under way"}, status), reply(after))
    if adopted:
        assert isinstance(ordering(*outcomes).result, Accepted)
        return
    verdict = refused(*outcomes)
    assert verdict.kind is Kind.INVALID
    assert PROJECT in verdict.message
    assert "A lip-sync is under way" in verdict.message


def test_a_refusal_stands_where_the_second_look_fails() -> None:
    verdict = refused(reply(project()), reply(info()), reply({"detail": "no"}, 400), Fault(sent=True, message="reset"))
    assert verdict.kind is Kind.INVALID


# -- watching --------------------------------------------------------------------------------------------------------


def looked(handle: Handle, body: object, after: float = 10.0) -> Any:
    ours = provider(stale_grace="60s")
    return drive(ours, ours.poll(handle, now=NOW + after), reply(body)).result


def old(**given: Any) -> Handle:
    """An order that was given while the result of another was in sight."""
    return run_handle(before={"status": "done", "path": RESULT, "progress": 100}, **given)


@pytest.mark.parametrize(
    ("ahead", "position"), [(3, 3), ("2", 2), (0, 0), (2.0, 2), (None, None), (-1, None), ("x", None)]
)
def test_queued_is_started_without_progress(ahead: object, position: int | None) -> None:
    seen = looked(run_handle(), info("started", tasks_in_lipsync_queue=ahead))
    assert (seen.seen, seen.progress, seen.queue_position) == (Seen.QUEUED, None, position)


def test_a_run_that_once_showed_progress_is_not_queued_again() -> None:
    moving = looked(run_handle(), info("started", lipsync_task_progress="50"))
    assert (moving.seen, moving.progress, moving.queue_position) == (Seen.RUNNING, 50.0, None)
    silent = looked(moving.handle, info("started", tasks_in_lipsync_queue=5))
    assert (silent.seen, silent.queue_position) == (Seen.RUNNING, None)


def test_started_at_100_percent_is_not_done() -> None:
    seen = looked(run_handle(), info("started", lipsync_task_progress=100, lipsync_result_path=RESULT))
    assert seen.seen is Seen.RUNNING


def test_a_word_that_nobody_knows_is_work() -> None:
    assert looked(run_handle(), info("enhancing")).seen is Seen.QUEUED
    assert looked(old(), info("enhancing")).handle["begun"]


def test_done_with_a_link_is_done() -> None:
    seen = looked(run_handle(), info("done"))
    assert (seen.seen, seen.progress) == (Seen.SUCCEEDED, 100.0)
    assert [output.url for output in seen.outputs] == [RESULT]


@pytest.mark.parametrize("status", ["done", "outdated"])
def test_an_old_result_is_waited_out_and_then_unconfirmed(status: str) -> None:
    shown = info(status, lipsync_result_path=RESULT.replace("=1", "=signed-anew"))
    waiting = looked(old(), shown, 59)
    assert (waiting.seen, waiting.park) == (Seen.RUNNING, None)
    over = looked(old(), shown, 60)
    assert (over.seen.terminal, over.park) == (False, Reason.UNCONFIRMED)
    assert PROJECT in over.verdict.message
    later = looked(over.handle, info("done", lipsync_result_path=SECOND), 9999)
    assert later.seen is Seen.SUCCEEDED


def test_another_link_is_another_result() -> None:
    seen = looked(old(), info("done", lipsync_result_path=SECOND))
    assert seen.seen is Seen.SUCCEEDED
    assert seen.outputs[0].url == SECOND


@pytest.mark.parametrize("status", ["done", "failed"])
def test_what_was_there_before_is_an_end_only_once_it_stays(status: str) -> None:
    """A look at an old copy, between two at the work, shows the preview that was made before the whole."""
    path = RESULT if status == "done" else None
    before = run_handle(before={"status": status, "path": path, "progress": None})
    handle = looked(before, info("started")).handle
    doubtful = looked(handle, info(status), 100)
    assert (doubtful.seen, doubtful.park) == (Seen.RUNNING, None)
    at_work = looked(doubtful.handle, info("started"), 120)
    assert "again" not in at_work.handle
    anew = looked(at_work.handle, info(status), 170)
    assert looked(anew.handle, info(status), 229).seen is Seen.RUNNING
    assert looked(anew.handle, info(status), 230).seen.terminal
    assert looked(anew.handle, info("done", lipsync_result_path=SECOND), 171).seen is Seen.SUCCEEDED


def test_a_link_that_came_late_to_the_old_result_does_not_make_it_new() -> None:
    handle = run_handle(before={"status": "done", "path": None, "progress": 100})
    assert looked(handle, info("done")).seen is Seen.RUNNING


@pytest.mark.parametrize("body", [info(), {}])
def test_an_order_that_leaves_no_trace_is_unconfirmed(body: dict[str, Any]) -> None:
    assert looked(run_handle(), body, 59).park is None
    assert looked(run_handle(), body, 60).park is Reason.UNCONFIRMED
    assert looked(run_handle(begun=True), body, 60).park is None


def test_the_grace_begins_with_the_first_look_where_the_order_is_not_dated() -> None:
    handle = old()
    del handle["at"]
    first = looked(handle, info("done"), 500)
    assert (first.park, first.handle["at"]) == (None, NOW + 500)


def test_done_without_a_link_is_looked_at_a_few_times_more() -> None:
    handle, after, looks = run_handle(begun=True), 100.0, 0
    while True:
        seen = looked(handle, info("done", lipsync_result_path=None), after)
        looks += 1
        handle, after = seen.handle, after + 20
        if seen.park is not None:
            break
    assert looks == 5
    assert (seen.park, seen.verdict.kind, seen.verdict.charged) == (Reason.UNCONFIRMED, Kind.PROTOCOL, True)
    assert looked(handle, info("done"), after).seen is Seen.SUCCEEDED


@pytest.mark.parametrize("path", ["runs/1/lipsync.mp4", "/runs/1.mp4", "ftp://a.example/x.mp4", "https://"])
def test_a_path_that_is_no_link_is_told_and_looked_at_by_a_later_run(path: str) -> None:
    seen = looked(run_handle(), info("done", lipsync_result_path=path))
    assert (seen.park, seen.verdict.kind, seen.verdict.charged) == (Reason.UNCONFIRMED, Kind.PROTOCOL, True)
    assert path in seen.verdict.message


@pytest.mark.parametrize("mode", ["full", "preview"])
def test_a_failed_lip_sync_names_the_project_and_whom_to_write_to(mode: str) -> None:
    seen = looked(run_handle(mode=mode), info("failed"))
    assert seen.seen is Seen.FAILED
    assert (seen.verdict.kind, seen.verdict.blame, seen.verdict.charged) == (Kind.JOB_FAILED, "vendor", True)
    assert PROJECT in seen.verdict.message
    assert "support@rask.ai" in seen.verdict.message


def test_an_old_failure_is_waited_out_too() -> None:
    handle = run_handle(before={"status": "failed", "path": None, "progress": None})
    assert looked(handle, info("failed"), 59).seen is Seen.RUNNING
    assert looked(handle, info("failed"), 60).seen is Seen.FAILED


def test_a_dead_link_is_had_afresh_by_looking_again() -> None:
    handle = looked(old(), info("done", lipsync_result_path=SECOND)).handle
    fresh = looked(handle, info("done", lipsync_result_path=f"{SECOND}&fresh"), 5000)
    assert fresh.seen is Seen.SUCCEEDED
    assert fresh.outputs[0].url == f"{SECOND}&fresh"


@pytest.mark.parametrize("body", [[], "x", 7])
def test_something_else_than_a_lip_sync_is_not_taken_for_none(body: object) -> None:
    with pytest.raises(Refused, match="with something else"):
        looked(run_handle(), body)


# -- lost orders -----------------------------------------------------------------------------------------------------


def settled(body: object, after: float, before: dict[str, Any] | None = None) -> Any:
    ours = provider(stale_grace="60s")
    saved = run_handle(before=before or {"status": None, "path": None, "progress": None})
    lost = intent(stage="lipsync", saved=saved, at=NOW + 100)
    return drive(ours, ours.reconcile(of_project(), lost, lost.at + after), reply(body)).result


@pytest.mark.parametrize(
    ("body", "after", "expected"),
    [
        (info("started"), 1, Found),
        (info("enhancing"), 1, Found),
        (info("done", lipsync_result_path=SECOND), 1, Found),
        (info("outdated", lipsync_result_path=SECOND), 1, Found),
        (info("failed"), 1, Found),
        (info(), 1, Undecided),
        (info(), 60, Undecided),
        (info(), 61, Absent),
        ({}, 61, Undecided),
    ],
)
@pytest.mark.parametrize("before", [None, {"status": "done", "path": RESULT, "progress": 100}])
def test_a_lost_order_is_settled_by_what_the_project_shows(
    body: object, after: float, expected: type, before: dict[str, Any] | None
) -> None:
    assert isinstance(settled(body, after, before), expected)


@pytest.mark.parametrize("status", ["done", "outdated"])
def test_an_old_result_that_stays_after_a_lost_order_shows_that_it_was_not_carried_out(status: str) -> None:
    before = {"status": "done", "path": RESULT, "progress": 100}
    assert isinstance(settled(info(status), 60, before), Undecided)
    assert isinstance(settled(info(status), 61, before), Absent)
    without_link = {"status": "done", "path": None, "progress": 100}
    assert isinstance(settled(info(status), 61, without_link), Found)


def test_an_old_failure_after_a_lost_order_is_waited_out_from_the_order_on() -> None:
    finding = settled(info("failed"), 1, {"status": "failed", "path": None, "progress": None})
    assert finding.handle["at"] == NOW + 100
    assert looked(finding.handle, info("failed"), 159).seen is Seen.RUNNING
    assert looked(finding.handle, info("failed"), 160).seen is Seen.FAILED


def test_an_order_of_which_nothing_was_noted_is_a_persons_to_settle() -> None:
    ours = provider()
    for stage in ("lipsync", "preview", "media"):
        finding = drive(ours, ours.reconcile(of_project(), intent(stage=stage), NOW)).result
        assert isinstance(finding, Undecided)


def test_a_result_is_known_again_by_its_link_and_another_one_is_never_taken_for_it() -> None:
    seen = looked(run_handle(), info("done", lipsync_result_path="https://cdn.example/full.mp4?X-Amz-Signature=a&f=1"))
    handle = seen.handle
    assert handle is not None
    again = looked(handle, info("done", lipsync_result_path="https://cdn.example/full.mp4?X-Amz-Signature=b&f=1"))
    assert (again.seen, again.outputs[0].url[-5:]) == (Seen.SUCCEEDED, "b&f=1")
    for other in (
        info("done", lipsync_result_path="https://cdn.example/preview.mp4?X-Amz-Signature=b&f=1"),
        info("done", lipsync_result_path="https://cdn.example/full.mp4?X-Amz-Signature=b&f=2"),
        info("started"),
        info("outdated"),
    ):
        found = looked(handle, other)
        assert (found.seen, found.park) == (Seen.RUNNING, Reason.NEEDS_PERSON)
        assert PROJECT in found.verdict.message


def test_what_another_job_paid_for_is_kept_under_this_jobs_own_name() -> None:
    ours = provider()
    theirs = {"id": PROJECT, "stage": "preview", "mode": "preview", "keep": True, "begun": True}
    assert ours.inherit({"id": PROJECT, "stage": "preview"}, theirs) == {
        "id": PROJECT, "stage": "preview", "mode": "preview", "begun": True,
    }  # fmt: skip
    assert ours.inherit({"stage": "preview", "keep": True}, theirs)["keep"] is True


@pytest.mark.parametrize("stage", ["project", "redub", "lipsync"])
def test_consent_that_was_withdrawn_holds_for_jobs_under_way(stage: str) -> None:
    ours = provider(allow_paid=False)
    with pytest.raises(Refused, match="allow_paid") as refused:
        drive(ours, ours.create(job(), intent(stage=stage), {"media": {"id": "m"}, "project": {"id": PROJECT}}))
    assert refused.value.verdict.park is Reason.NEEDS_PERSON
