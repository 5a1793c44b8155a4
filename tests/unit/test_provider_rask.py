"""Rask's adapter: its stages, requests, options and refusals before anything is sent. Source: its fact sheet."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.flows import KEY, VIDEO, drive, intent, reply
from tests.unit.rask_replies import DUBBED, MEDIA, NOW, PROJECT, RESULT, T1, info, job, of_project, project, provider

from viseme.attempts import Handle
from viseme.config import Account
from viseme.errors import ConfigError, JobInvalid
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.base import FilePart, Multipart, Refused, Reply, Request, Role, Safety, Seen, Uploaded
from viseme.providers.rask import Rask, RaskOptions
from viseme.results import Cost

FILE = FilePart(path="/v/talk.mp4", size=5, mtime=1, name="talk.mp4", content_type="video/mp4")
READ = ("read", "all")


# -- stages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "stages"),
    [
        (job(), "media project face lipsync"),
        (job(video=None, options={"media_id": MEDIA}), "media project face lipsync"),
        (job(options={"preview": True}), "media project face preview"),
        (job(options={"preview": "first"}), "media project face preview ready lipsync"),
        (of_project(), "dub face lipsync"),
        (of_project(preview=True), "dub face preview"),
        (of_project(preview="first"), "dub face preview ready lipsync"),
        (of_project(generate=True), "segments redub face lipsync"),
        (of_project(generate=True, preview=True), "segments redub face preview"),
    ],
)
def test_a_job_goes_through_the_stages_that_its_start_needs(given: Job, stages: str) -> None:
    assert provider().stages(given) == tuple(stages.split())


def test_stages_that_only_wait_cost_nothing_and_hold_no_seat() -> None:
    sheet = provider().sheet
    assert sheet.free_stages == {"media", "dub", "segments", "face", "ready"}
    assert (sheet.safety, sheet.complete) == (Safety.CORRELATE, True)
    assert sheet.local_files


def test_a_lost_create_is_asked_after_for_longer_than_the_grace_and_two_looks() -> None:
    assert provider(stale_grace="90s").sheet.settle >= 90 + 20


@pytest.mark.parametrize(
    ("given", "fields"),
    [(job(), ("video",)), (job(video="talk.mp4"), ("video",)), (of_project(), ())],
)
def test_a_video_is_handed_over_be_it_a_file_or_a_link(given: Job, fields: tuple[str, ...]) -> None:
    assert provider().handed_over(given) == fields
    assert provider().handed_over(job(video=None, options={"media_id": MEDIA})) == ()


def test_rows_of_one_project_exclude_each_other() -> None:
    assert provider().exclusive(of_project()) == PROJECT
    assert provider().exclusive(job()) is None


# -- media -----------------------------------------------------------------------------------------------------------


def test_a_file_goes_into_the_library_as_a_form() -> None:
    ours = provider(upload_lifetime="2h")
    played = drive(ours, ours.upload(job(), "video", FILE), reply({"id": MEDIA, "status": "processing"}))
    assert played.request == Request(
        method="POST",
        url="https://api.rask.ai/api/library/v1/media?kind=video",
        role=Role.UPLOAD,
        classes=("upload", "post", "all"),
        body=Multipart((("name", "talk.mp4"), ("data", FILE))),
    )
    assert played.result == Uploaded(handle={"id": MEDIA}, lifetime=7200.0)


def test_the_name_of_the_files_part_can_be_set() -> None:
    ours = provider(media_part_name="file")
    request = drive(ours, ours.upload(job(), "video", FILE), reply({"id": MEDIA})).request
    assert isinstance(request.body, Multipart)
    assert request.body.parts[1] == ("file", FILE)


def test_a_link_is_fetched_by_the_library() -> None:
    ours = provider()
    played = drive(ours, ours.upload(job(), "video", VIDEO), reply({"id": MEDIA}))
    assert played.request.url == "https://api.rask.ai/api/library/v1/media/link"
    assert played.request.json == {"link": VIDEO, "kind": "video"}
    assert played.request.role is Role.UPLOAD
    assert played.result == Uploaded(handle={"id": MEDIA}, lifetime=24 * 3600.0)


def test_an_upload_without_an_id_is_refused() -> None:
    ours = provider()
    with pytest.raises(Refused, match="without an id"):
        drive(ours, ours.upload(job(), "video", VIDEO), reply({"status": "processing"}))


def media_handle(**given: Any) -> Handle:
    return begun(job(), reply({"status": "processing"})).handle | given


def begun(given: Job, outcome: Reply) -> Any:
    ours = provider()
    handles: dict[str, Handle] = {"video": {"id": MEDIA}} if given.video else {}
    return drive(ours, ours.create(given, intent(stage="media"), handles), outcome).result


MINE = job(video=None, options={"media_id": "mine"})


def test_the_media_stage_begins_with_a_look() -> None:
    assert media_handle() == {"id": MEDIA, "stage": "media", "since": NOW}
    assert begun(MINE, reply({"status": "processing"})).handle == {"id": "mine", "stage": "media", "given": True}
    ready = begun(job(), reply({"status": "ready", "meta": {"duration_seconds": 5}}))
    assert (ready.observation, ready.handle["seconds"]) == (None, 5.0)


@pytest.mark.parametrize("outcome", [reply({"detail": "Media not found"}, 404), reply({"status": "failed"})])
def test_a_medium_that_was_lost_or_spoilt_is_refused_so_that_it_is_handed_over_anew(outcome: Reply) -> None:
    with pytest.raises(Refused) as caught:
        begun(job(), outcome)
    assert (caught.value.verdict.kind, caught.value.verdict.blame) == (Kind.MEDIA_UNREACHABLE, "job")
    assert begun(MINE, outcome).observation.seen is Seen.FAILED, "it cannot be handed over by us"


@pytest.mark.parametrize(
    ("body", "seen", "words"),
    [
        ({"status": "processing", "meta": {}}, Seen.RUNNING, ""),
        ({"status": "scanning"}, Seen.RUNNING, ""),
        ({"status": None}, Seen.RUNNING, ""),
        ({"status": "ready", "kind": "video", "meta": {"duration_seconds": "61.5"}}, Seen.SUCCEEDED, ""),
        ({"status": "ready"}, Seen.SUCCEEDED, ""),
        ({"status": "failed"}, Seen.FAILED, "could not read the video"),
        ({"status": "ready", "kind": "audio"}, Seen.FAILED, "is no video but audio"),
    ],
)
def test_a_medium_is_watched_until_it_can_be_dubbed(body: dict[str, Any], seen: Seen, words: str) -> None:
    ours = provider()
    played = drive(ours, ours.poll(media_handle(), now=NOW), reply({"id": MEDIA, **body}))
    assert played.request == Request(
        method="GET", url=f"https://api.rask.ai/api/library/v1/media/{MEDIA}", classes=READ
    )
    assert played.result.seen is seen
    if seen is Seen.FAILED:
        verdict = played.result.verdict
        assert (verdict.kind, verdict.blame, verdict.charged) == (Kind.MEDIA_UNREACHABLE, "job", False)
        assert words in verdict.message


def test_the_length_of_a_medium_is_kept_for_the_price() -> None:
    ours = provider()
    body = {"status": "ready", "meta": {"duration_seconds": 61.5}}
    assert drive(ours, ours.poll(media_handle(), now=NOW), reply(body)).result.handle["seconds"] == 61.5


@pytest.mark.parametrize(("handle", "fails"), [({}, False), ({"since": NOW - 61}, True), ({"given": True}, True)])
def test_a_medium_that_is_not_there_fails_the_job_unless_it_was_just_handed_over(
    handle: dict[str, Any], fails: bool
) -> None:
    ours = provider()
    flow = ours.poll(media_handle(**handle), now=NOW)
    if not fails:
        with pytest.raises(Refused):
            drive(ours, flow, reply({"detail": "Media not found"}, 404))
        return
    seen = drive(ours, flow, reply({"detail": "Media not found"}, 404)).result
    assert seen.seen is Seen.FAILED
    assert MEDIA in seen.verdict.message


# -- one job from start to end ---------------------------------------------------------------------------------------


def test_a_job_from_its_video_to_its_result() -> None:
    ours, given = provider(), job(source_language="en", options={"num_speakers": 2, "glossary_id": "g"})
    handles: dict[str, Handle] = {"video": {"id": MEDIA}}

    def stage(name: str, *replies: Any) -> Any:
        played = drive(ours, ours.create(given, intent(stage=name), handles), *map(reply, replies))
        handles[name] = played.result.handle
        return played

    def look(name: str, *replies: Any) -> Any:
        seen = drive(ours, ours.poll(handles[name], now=NOW + 30), *map(reply, replies)).result
        handles[name] = seen.handle or handles[name]
        return seen

    stage("media", {"status": "processing"})
    assert look("media", {"status": "ready", "meta": {"duration_seconds": 90}}).seen is Seen.SUCCEEDED
    created = stage("project", project("created"))
    assert created.request.json == {
        "video_id": MEDIA,
        "dst_lang": "es",
        "name": KEY,
        "src_lang": "en",
        "num_speakers": 2,
        "glossary_id": "g",
    }
    assert (created.request.role, created.request.classes) == (Role.PAID, ("create", "post", "all"))
    assert look("project", project("translation_started")).seen is Seen.RUNNING
    assert look("project", project()).seen is Seen.SUCCEEDED
    assert stage("face").requests == ()
    assert look("face", info(), project()).seen is Seen.SUCCEEDED
    ordered = stage("lipsync", project(), info(), {"tasks_in_lipsync_queue": 3, "lipsync_task_status": "started"})
    assert [request.method for request in ordered.requests] == ["GET", "GET", "PUT"]
    assert ordered.requests[2] == Request(
        method="PUT",
        url=f"https://api.rask.ai/v2/projects/{PROJECT}/lipsync",
        role=Role.PAID,
        classes=("create", "all"),
        json={"is_multiple_speakers": True, "is_free_lipsync": False},
        claim=f"{PROJECT}@{T1}#full",
    )
    assert ordered.result.observation.queue_position == 3
    done = look("lipsync", info("done"))
    assert done.seen is Seen.SUCCEEDED
    assert [(one.url, one.role) for one in done.outputs] == [(RESULT, "video")]
    assert done.cost == Cost(amount=4.0, unit="minutes", estimated=True)


@pytest.mark.parametrize("name", ["src_lang", "num_speakers", "transcript_id", "glossary_id"])
def test_absent_values_are_not_sent(name: str) -> None:
    ours = provider()
    flow = ours.create(job(), intent(stage="project"), {"media": {"id": MEDIA}})
    assert name not in drive(ours, flow, reply(project("created"))).request.json


def test_languages_go_in_the_vendors_spelling() -> None:
    ours = provider()
    given = job(language="pt-BR", source_language="EN")
    flow = ours.create(given, intent(stage="project"), {"media": {"id": MEDIA}})
    body = drive(ours, flow, reply(project("created"))).request.json
    assert (body["dst_lang"], body["src_lang"]) == ("pt-br", "en")


@pytest.mark.parametrize(
    ("options", "stage", "flags"),
    [
        ({}, "lipsync", {"is_multiple_speakers": True, "is_free_lipsync": False}),
        ({"num_speakers": 1}, "lipsync", {"is_multiple_speakers": True, "is_free_lipsync": False}),
        ({"is_multiple_speakers": False}, "lipsync", {"is_multiple_speakers": False, "is_free_lipsync": False}),
        ({"preview": True}, "preview", {"is_multiple_speakers": True, "is_free_lipsync": True}),
        ({"preview": "first"}, "preview", {"is_multiple_speakers": True, "is_free_lipsync": True}),
        ({"preview": "first"}, "lipsync", {"is_multiple_speakers": True, "is_free_lipsync": False}),
    ],
)
def test_both_flags_are_sent_as_json_booleans(options: dict[str, Any], stage: str, flags: dict[str, bool]) -> None:
    ours, handles = provider(), {"face": {"id": PROJECT}}
    flow = ours.create(job(options=options), intent(stage=stage), handles)
    played = drive(ours, flow, reply(project()), reply(info()), reply({"lipsync_task_status": "started"}))
    body = played.requests[-1].json
    assert body == flags
    assert json.loads(json.dumps(body)) == flags
    assert all(type(value) is bool for value in body.values())


def test_a_preview_is_the_result_or_is_kept_beside_it() -> None:
    ours = provider()
    for preview, role in ((True, "video"), ("first", "preview")):
        flow = ours.create(job(options={"preview": preview}), intent(stage="preview"), {"face": {"id": PROJECT}})
        handle = drive(
            ours, flow, reply(project()), reply(info()), reply({"lipsync_task_status": "started"})
        ).result.handle
        (output,) = drive(ours, ours.poll(handle, now=NOW), reply(info("done"))).result.outputs
        assert output.role == role


def test_what_no_page_documents_can_be_set() -> None:
    ours = provider(lipsync_path="/v3/sync/{id}", check_face_path="/v3/face/{id}", base_url="https://proxy.example/r")
    assert ours.calls.lipsync("a/b").url == "https://proxy.example/r/v3/sync/a%2Fb"
    assert ours.calls.check_face("a").url == "https://proxy.example/r/v3/face/a"
    with pytest.raises(ConfigError, match="is no path of a project"):
        provider(lipsync_path="/v2/lipsync")


# -- what is refused here --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        (job(model="pro"), "model", "no models to choose from"),
        (job(language=None, audio=VIDEO), "audio", "takes no audio; give language"),
        (job(language=None, text="hi", voice="x"), "text", "takes no text"),
        (Job(image=VIDEO, language="es"), "image", "takes no image"),
        (job(language=None), "language", "give language"),
        (job(video=None), "video", "no picture"),
        (job(video="http://localhost/x.mp4"), "video", "cannot reach"),
        (job(language="Spanish!"), "language", "no language"),
        (job(source_language="en-us"), "source_language", "write en, or leave it out"),
        (job(options={"media_id": MEDIA}), "video", "exclude each other"),
        (Job(options={"media_id": MEDIA}), "language", "give language"),
        (job(options={"project_id": PROJECT}), "video", "leave video out"),
        (of_project(media_id=MEDIA), "options", "exclude each other"),
        (of_project(num_speakers=2), "options", "num_speakers goes with a new project"),
        (of_project(transcript_id="t"), "options", "transcript_id goes with a new project"),
        (of_project(glossary_id="g"), "options", "glossary_id goes with a new project"),
        (job(options={"generate": True}), "options", "add its project_id"),
        (job(options={"num_speakers": 0}), "options", "must be 1 or more"),
        (job(options={"num_speakers": True}), "options", "whole number"),
        (job(options={"is_multiple_speakers": "True"}), "options", "must be true or false"),
        (job(options={"preview": "yes"}), "options", "not one of False, True, first"),
        (job(options={"preview": 1}), "options", "not one of False, True, first"),
        (job(options={"speakers": 2}), "options", "unknown name 'speakers'; known are num_speakers"),
        (of_project(project_id=" "), "options", "is no id"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(given: Job, field: str, words: str) -> None:
    with pytest.raises(JobInvalid, match=words) as caught:
        provider().check(given)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "given",
    [
        job(),
        job(video="talk.mp4", source_language="en"),
        Job(language="es", options={"media_id": MEDIA, "numSpeakers": 2}),
        of_project(),
        of_project(generate=True, preview="first", isMultipleSpeakers=False),
        Job(language="es", source_language="en", options={"project_id": PROJECT}),
    ],
)
def test_a_job_that_makes_sense_is_taken(given: Job) -> None:
    provider().check(given)


@pytest.mark.parametrize("given", [job(), job(options={"preview": True}), of_project(), of_project(preview="first")])
def test_nothing_that_costs_is_begun_without_consent(given: Job) -> None:
    with pytest.raises(JobInvalid, match=r"set allow_paid = true in accounts\.rask"):
        provider(allow_paid=False).check(given)


def test_a_preview_of_an_existing_project_needs_no_consent_but_its_new_dub_does() -> None:
    provider(allow_paid=False).check(of_project(preview=True))
    with pytest.raises(JobInvalid, match="allow_paid"):
        provider(allow_paid=False).check(of_project(preview=True, generate=True))


def test_typed_options_say_the_same() -> None:
    given = of_project()
    typed = Job(options=RaskOptions(project_id=PROJECT))
    assert typed.options == given.options
    assert provider().options(given) == RaskOptions(project_id=PROJECT)


# -- accounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_a_missing_credential_is_named_with_a_variable(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"accounts\.rask: {name} is missing.*\$RASK_{name.upper()}"):
        provider(**{name: ""})


@pytest.mark.parametrize("secret", ["a b c d", "ключи ключи", "abc\ndef"])
def test_a_secret_that_no_vendor_gave_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ConfigError, match="copy it again") as caught:
        provider(client_secret=secret)
    assert secret not in str(caught.value)


def test_no_key_is_asked_for() -> None:
    assert Rask(Account("rask", client_id="a", client_secret="b")).settings.client_auth == "basic"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://auth.example/token", "unencrypted"),
        ("https://127.0.0.1/token", "private address"),
        ("https://[::1]/token", "private address"),
        ("ftp://auth.example/", "must start with https://"),
        ("auth.example/token", "must start with https://"),
        ("https://u:p@auth.example/", "leave out user names"),
        ("https://auth.example:x/", "is not a URL"),
    ],
)
def test_no_secret_travels_to_an_odd_token_url(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"accounts.rask: token_url: .*{words}"):
        provider(token_url=url)


def test_a_private_token_url_is_taken_where_the_account_allows_it() -> None:
    provider(token_url="http://127.0.0.1:8000/rask/oauth2/token", allow_private_hosts=True)


def test_graces_are_durations() -> None:
    settings = provider(face_check_grace="2min", stale_grace=5).settings
    assert (settings.face_check_grace, settings.stale_grace) == (120.0, 5.0)
    with pytest.raises(ConfigError, match="not a duration"):
        provider(stale_grace="soon")


# -- money -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        (job(), 4.0),
        (job(options={"preview": True}), 2.0),
        (of_project(), 2.0),
        (of_project(preview="first"), 2.0),
        (of_project(generate=True), 4.0),
        (of_project(preview=True), 0.0),
    ],
)
def test_begun_minutes_of_dub_and_lip_sync_are_the_price_at_most(given: Job, minutes: float) -> None:
    ours = provider()
    assert drive(ours, ours.estimate(given, 61.0)).result == Cost(amount=minutes, unit="minutes", estimated=True)


def test_a_minute_of_lip_sync_may_count_for_more_and_a_contract_may_say_otherwise() -> None:
    ours = provider(lipsync_minute_multiplier=3)
    assert drive(ours, ours.estimate(job(), 30.0)).result.amount == 4.0
    stated = provider(price="3 usd/min")
    assert drive(stated, stated.estimate(job(), 30.0)).result.usd == 3.0


@pytest.mark.parametrize(
    ("body", "left"),
    [({"minutes": {"total": 100, "used": "40"}}, 60.0), ({"minutes": {"total": 100}}, None), ([], None)],
)
def test_the_balance_is_the_minutes_that_are_left(body: object, left: float | None) -> None:
    ours = provider()
    played = drive(ours, ours.balance(), reply(body))
    assert played.request.url == "https://api.rask.ai/v2/credits"
    assert played.result == (None if left is None else Cost(amount=left, unit="minutes"))


def test_a_dub_link_is_never_asked_for_by_the_adapter() -> None:
    ours = provider()
    flow = ours.create(of_project(), intent(stage="lipsync"), {"face": {"id": PROJECT}})
    played = drive(ours, flow, reply(project()), reply(info()), reply({"lipsync_task_status": "started"}))
    assert not [request for request in played.requests if DUBBED in request.url]
