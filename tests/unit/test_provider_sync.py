"""Sync's adapter: requests and looks; facts from the fact sheet. Its error codes have a file of their own."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.flows import AUDIO, KEY, VIDEO, drive, intent, reply

from viseme.config import Account
from viseme.errors import ConfigError, JobInvalid
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.keys import default_key
from viseme.providers.base import Refused, Request, Role, Safety, Seen
from viseme.providers.sync import ActiveSpeaker, Sync, SyncOptions, SyncSegment, SyncVoice
from viseme.results import Artifact, Cost

MODELS = ["lipsync-2", "lipsync-2-pro", "sync-3", "lipsync-1.9.0-beta", "react-1"]
RESULT = "https://bucket.s3.amazonaws.com/out.mp4?X-Amz-Date=20251120T010000Z&X-Amz-Expires=604800&X-Amz-Signature=ab"
IMAGE = "https://media.example/face.png"
ID = "6533643b-acbe-4c40-967e-d9ba9baac39e"


def provider(**settings: Any) -> Sync:
    return Sync(Account("sync", api_key="key", **settings))


def job(**given: Any) -> Job:
    return Job(**{"video": VIDEO, "audio": AUDIO, **given})


def spoken(**given: Any) -> Job:
    return job(**{"audio": None, "text": "Hello", "voice": "EXAVITQu4vr4xnSDxMaL", **given})


def body(given: Job) -> Any:
    ours = provider()
    ours.check(given)
    request = next(ours.create(given, intent(), {}))
    assert isinstance(request, Request)
    return request.json


def generation(status: object, **given: object) -> dict[str, object]:
    return {"id": ID, "createdAt": "2025-11-20T01:00:00Z", "model": "lipsync-2", "status": status, **given}


def observed(found: object, **headers: str) -> Any:
    ours = provider()
    return drive(ours, ours.poll({"id": ID}), reply(found, **headers)).result


PICTURE = {"type": "video", "url": VIDEO}
SOUND = {"type": "audio", "url": AUDIO}

# -- creates ---------------------------------------------------------------------------------------------------------


def test_a_job_becomes_exactly_this_request() -> None:
    ours = provider()
    played = drive(ours, ours.create(job(), intent(), {}), reply(generation("PENDING"), 201))
    assert played.request == Request(
        method="POST",
        url="https://api.sync.so/v2/generate",
        role=Role.PAID,
        classes=("create", "post", "all"),
        headers={"idempotency-key": KEY},
        json={"model": "lipsync-2", "input": [PICTURE, SOUND]},
    )
    assert played.result.handle == {"id": ID}
    assert played.result.observation.seen is Seen.QUEUED


def test_the_same_intent_gives_the_same_request() -> None:
    ours = provider()
    given = job(options={"sync_mode": "loop"})
    assert next(ours.create(given, intent(), {})) == next(ours.create(given, intent(), {}))


def test_a_replay_keeps_to_the_model_that_the_intent_pinned() -> None:
    ours = provider()
    request = next(ours.create(job(), intent(model="lipsync-2-pro"), {}))
    assert isinstance(request, Request)
    assert request.json["model"] == "lipsync-2-pro"


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_named(model: str) -> None:
    assert body(job(model=model))["model"] == model


def test_a_newer_model_goes_through_with_any_option() -> None:
    ours = provider(extra_models=["sync-4"])
    given = job(model="sync-4", options={"prompt": "happy", "temperature": 0.25})
    ours.check(given)
    sent = next(ours.create(given, intent(), {})).json  # type: ignore[union-attr]
    assert sent["model"] == "sync-4"
    assert sent["options"] == {"prompt": "happy", "temperature": 0.25}
    with pytest.raises(JobInvalid, match="extra_models"):
        provider().check(given)


def test_an_image_goes_to_the_model_that_takes_images() -> None:
    sent = body(job(video=None, image=IMAGE))
    assert sent == {"model": "sync-3", "input": [{"type": "image", "url": IMAGE}, SOUND]}


@pytest.mark.parametrize("model", [name for name in MODELS if name != "sync-3"])
def test_other_models_take_no_image(model: str) -> None:
    with pytest.raises(JobInvalid, match=f"{model} takes no image"):
        provider().check(job(video=None, image=IMAGE, model=model))


def test_text_is_spoken_by_its_voice() -> None:
    given = spoken(options={"stability": 0.25, "similarity_boost": 1.0})
    assert body(given)["input"] == [
        PICTURE,
        {
            "type": "text",
            "provider": {
                "name": "elevenlabs",
                "voiceId": "EXAVITQu4vr4xnSDxMaL",
                "script": "Hello",
                "stability": 0.25,
                "similarityBoost": 1,
            },
        },
    ]
    assert "stability" not in body(spoken())["input"][1]["provider"]


def test_a_language_is_dubbed_into() -> None:
    dub = {"providerName": "elevenlabs", "targetLang": "de"}
    assert body(job(audio=None, language="de")) == {"model": "lipsync-2", "input": [PICTURE], "dubParams": dub}
    sent = body(job(audio=None, language="de", source_language="en"))
    assert sent["dubParams"] == {**dub, "sourceLang": "en"}


@pytest.mark.parametrize("spelling", ["sync_mode", "syncMode"])
@pytest.mark.parametrize("mode", ["bounce", "loop", "cut_off", "silence", "remap"])
def test_every_sync_mode_is_snake_case_on_the_wire(mode: str, spelling: str) -> None:
    assert body(job(options={spelling: mode}))["options"] == {"sync_mode": mode}


@pytest.mark.parametrize(
    ("model", "given", "wire"),
    [
        ("lipsync-2", {"temperature": 0}, {"temperature": 0}),
        ("lipsync-2-pro", {"temperature": 0.75}, {"temperature": 0.75}),
        ("lipsync-1.9.0-beta", {"occlusionDetectionEnabled": True}, {"occlusion_detection_enabled": True}),
        ("lipsync-2", {"occlusion_detection_enabled": False}, {"occlusion_detection_enabled": False}),
        ("react-1", {"modelMode": "head", "prompt": "sad"}, {"model_mode": "head", "prompt": "sad"}),
        ("react-1", {"model_mode": "lips", "prompt": "neutral"}, {"model_mode": "lips", "prompt": "neutral"}),
    ],
)
def test_every_option_has_its_wire_form(model: str, given: dict[str, Any], wire: dict[str, Any]) -> None:
    assert body(job(model=model, options=given))["options"] == wire


@pytest.mark.parametrize("emotion", ["happy", "sad", "angry", "disgusted", "surprised", "neutral"])
def test_every_emotion_is_taken(emotion: str) -> None:
    assert body(job(model="react-1", options={"prompt": emotion}))["options"] == {"prompt": emotion}


@pytest.mark.parametrize("model", ["lipsync-2", "lipsync-2-pro", "sync-3"])
@pytest.mark.parametrize(
    ("given", "wire"),
    [
        ({"autoDetect": True}, {"auto_detect": True}),
        ({"auto_detect": False, "v3": True}, {"auto_detect": False, "v3": True}),
        ({"frameNumber": 12, "coordinates": [10, 20.5]}, {"frame_number": 12, "coordinates": [10, 20.5]}),
        (
            {"boundingBoxes": [[1, 2, 3, 4], None, [5, 6, 7, 8.25]]},
            {"bounding_boxes": [[1, 2, 3, 4], None, [5, 6, 7, 8.25]]},
        ),
        (
            {"bounding_boxes_url": "https://media.example/boxes.json"},
            {"bounding_boxes_url": "https://media.example/boxes.json"},
        ),
    ],
)
def test_every_form_of_speaker_detection_goes_through(model: str, given: dict[str, Any], wire: dict[str, Any]) -> None:
    assert body(job(model=model, options={"active_speaker_detection": given}))["options"] == {
        "active_speaker_detection": wire
    }


def test_what_stands_beside_the_options_is_camel_case() -> None:
    given = job(
        options={
            "output_file_name": "talk_de-1",
            "project_id": "3f0c6e0a-0000-4000-8000-000000000001",
            "webhook_url": "https://hooks.example/sync",
        }
    )
    assert body(given) == {
        "model": "lipsync-2",
        "input": [PICTURE, SOUND],
        "webhookUrl": "https://hooks.example/sync",
        "outputFileName": "talk_de-1",
        "projectId": "3f0c6e0a-0000-4000-8000-000000000001",
    }


SEGMENTS = {
    "segments": [
        {"startTime": 0, "endTime": 2.5},
        {
            "startTime": 3,
            "endTime": 5,
            "audioInput": {"refId": "b", "startTime": 0.5, "endTime": 2},
            "optionsOverride": {
                "syncMode": "remap",
                "temperature": 0.2,
                "occlusionDetectionEnabled": True,
                "activeSpeakerDetection": {"autoDetect": True},
            },
        },
        {"start_time": 6, "end_time": 7, "audio_input": {"ref_id": "c"}},
    ],
    "audios": [
        {"ref_id": "b", "url": "https://media.example/b.wav"},
        {"ref_id": "c", "text": "Bye", "voice": "v", "stability": 0.5},
    ],
}


def test_segments_have_voices_and_options_of_their_own() -> None:
    assert body(job(options=SEGMENTS)) == {
        "model": "lipsync-2",
        "input": [
            PICTURE,
            {**SOUND, "refId": "main"},
            {"type": "audio", "url": "https://media.example/b.wav", "refId": "b"},
            {
                "type": "text",
                "provider": {"name": "elevenlabs", "voiceId": "v", "script": "Bye", "stability": 0.5},
                "refId": "c",
            },
        ],
        "segments": [
            {"startTime": 0, "endTime": 2.5, "audioInput": {"refId": "main"}},
            {
                "startTime": 3,
                "endTime": 5,
                "audioInput": {"refId": "b", "startTime": 0.5, "endTime": 2},
                "optionsOverride": {
                    "sync_mode": "remap",
                    "temperature": 0.2,
                    "occlusion_detection_enabled": True,
                    "active_speaker_detection": {"auto_detect": True},
                },
            },
            {"startTime": 6, "endTime": 7, "audioInput": {"refId": "c"}},
        ],
    }


def test_the_jobs_own_voice_can_be_renamed() -> None:
    segment = {"start_time": 0, "end_time": 1, "audio_input": {"ref_id": "anna"}}
    sent = body(spoken(options={"ref_id": "anna", "segments": [segment]}))
    assert sent["input"][1]["refId"] == "anna"
    assert sent["segments"][0]["audioInput"] == {"refId": "anna"}


def test_typed_options_and_plain_ones_say_the_same() -> None:
    typed = SyncOptions(
        sync_mode="loop",
        active_speaker_detection=ActiveSpeaker(coordinates=(1.0, 2.0), frame_number=3),
        segments=(SyncSegment(start_time=0, end_time=1),),
        audios=(SyncVoice(ref_id="b", url="https://media.example/b.wav"),),
    )
    plain = {
        "sync_mode": "loop",
        "active_speaker_detection": {"coordinates": [1.0, 2.0], "frame_number": 3},
        "segments": [{"start_time": 0, "end_time": 1}],
        "audios": [{"ref_id": "b", "url": "https://media.example/b.wav"}],
    }
    assert body(job(options=typed)) == body(job(options=plain))
    assert SyncOptions(**plain) == typed  # type: ignore[arg-type]
    assert default_key(job(options=SyncOptions(sync_mode="loop")), "a") == default_key(
        job(options={"sync_mode": "loop"}), "a"
    )


# -- refusals before anything is sent --------------------------------------------------------------------------------

SPEAKER = {"active_speaker_detection": {"auto_detect": True}}
OCCLUSION = {"occlusion_detection_enabled": True}
IGNORED = [
    *[(model, {"temperature": 0.5}, "temperature") for model in ("sync-3", "lipsync-1.9.0-beta", "react-1")],
    *[(model, OCCLUSION, "occlusion_detection_enabled") for model in ("sync-3", "react-1")],
    *[(model, SPEAKER, "active_speaker_detection") for model in ("lipsync-1.9.0-beta", "react-1")],
    *[(model, {"model_mode": "face"}, "model_mode") for model in MODELS if model != "react-1"],
    *[(model, {"prompt": "happy"}, "prompt") for model in MODELS if model != "react-1"],
]


@pytest.mark.parametrize(("model", "options", "name"), IGNORED)
def test_an_option_that_the_model_would_pass_over_is_refused(model: str, options: dict[str, Any], name: str) -> None:
    with pytest.raises(JobInvalid, match=f"{model} passes over {name} .* it works on ") as caught:
        provider().check(job(model=model, options=options))
    assert caught.value.field == "options"


def test_so_is_one_in_a_segment() -> None:
    segment = {"start_time": 0, "end_time": 1, "options_override": {"temperature": 0.5}}
    with pytest.raises(JobInvalid, match=r"segments\[0\]\.options_override: sync-3 passes over temperature"):
        provider().check(job(model="sync-3", options={"segments": [segment]}))


def segments(*given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"segments": list(given), **more}


ONE = {"start_time": 0, "end_time": 1}
SOURCE_B = {"ref_id": "b", "url": AUDIO}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 3}, "temperature must be between 0 and 1, not 3"),
        ({"temperature": -0.1}, "temperature must be between 0 and 1"),
        ({"temperature": "warm"}, "temperature: must be a number, not warm"),
        ({"temperature": True}, "temperature: must be a number"),
        ({"sync_mode": "stretch"}, "sync_mode: 'stretch' is not one of bounce, loop, cut_off, silence, remap"),
        ({"sync_mode": "loop", "syncMode": "loop"}, "sync_mode is given twice"),
        ({"speed": 1}, "unknown name 'speed'; known are sync_mode, temperature"),
        ({"active_speaker_detection": {}}, "says nothing"),
        (
            {"active_speaker_detection": {"face": 1}},
            "active_speaker_detection: unknown name 'face'; known are auto_detect",
        ),
        ({"active_speaker_detection": True}, "active_speaker_detection: must be a table with auto_detect"),
        ({"active_speaker_detection": {"coordinates": [1]}}, "coordinates must be two numbers"),
        ({"active_speaker_detection": {"coordinates": "ab"}}, "coordinates: must be a list"),
        ({"active_speaker_detection": {"frame_number": -1}}, "frame_number must be 0 or more"),
        ({"active_speaker_detection": {"frame_number": 1.5}}, "frame_number: must be a whole number"),
        ({"active_speaker_detection": {"bounding_boxes": [[1, 2, 3]]}}, "bounding_boxes must hold four numbers"),
        ({"active_speaker_detection": {"bounding_boxes_url": "boxes.json"}}, "bounding_boxes_url 'boxes.json' must be"),
        ({"active_speaker_detection": {"bounding_boxes_url": "http://10.0.0.1/b"}}, "cannot reach"),
        ({"output_file_name": "a.mp4"}, "output_file_name 'a.mp4' may hold"),
        ({"output_file_name": "a" * 256}, "output_file_name"),
        ({"output_file_name": ""}, "output_file_name"),
        ({"project_id": " "}, "project_id must not be empty"),
        ({"webhook_url": "http://hooks.example"}, "must be an https URL"),
        ({"webhook_url": "https://localhost/x"}, "cannot reach"),
        ({"webhook_url": "hooks.example"}, "webhook_url 'hooks.example' must be"),
        ({"stability": 0.5}, "stability and similarity_boost go with text"),
        ({"audios": [SOURCE_B]}, "audios go with segments"),
        (segments({"start_time": 2, "end_time": 1}), "a segment must begin before it ends; 2 s to 1 s"),
        (segments({"start_time": 1, "end_time": 1}), "a segment must begin before it ends"),
        (segments({"start_time": -1, "end_time": 1}), "start_time must be 0 or more"),
        (segments({"start_time": 1}), "end_time is missing"),
        (segments({**ONE, "audio_input": {"ref_id": "z"}}), r"segments\[0\].audio_input: there is no voice 'z'"),
        (segments({**ONE, "audio_input": {"start_time": 1}}), "start_time and end_time together"),
        (segments({**ONE, "audio_input": {"start_time": 1, "end_time": 0}}), "the part of the audio must begin"),
        (segments({**ONE, "options_override": {"prompt": "sad"}}), "unknown name 'prompt'"),
        (segments(ONE, audios=[SOURCE_B, SOURCE_B]), "ref_id 'b' is used twice"),
        (segments(ONE, audios=[{**SOURCE_B, "ref_id": "main"}]), "ref_id 'main' is used twice"),
        (segments(ONE, audios=[{"ref_id": "b"}]), "'b' needs either url, or text"),
        (segments(ONE, audios=[{**SOURCE_B, "text": "x"}]), "'b' needs either url, or text"),
        (segments(ONE, audios=[{"ref_id": "b", "text": "x"}]), "'b' needs text and voice together"),
        (segments(ONE, audios=[{**SOURCE_B, "voice": "v"}]), "'b' needs text and voice together"),
        (segments(ONE, audios=[{**SOURCE_B, "stability": 0.5}]), "go with text, and 'b' has none"),
        (segments(ONE, audios=[{"ref_id": "b", "url": "http://10.1.2.3/x"}]), "cannot reach"),
        (segments(ONE, audios=[{"ref_id": "b", "text": "x" * 5001, "voice": "v"}]), "text has 5001 characters"),
        ({"segments": "all"}, "segments: must be a list"),
        ({"segments": [1]}, r"segments\[0\]: must be a table with start_time"),
    ],
)
def test_options_that_are_wrong_are_refused_with_a_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(JobInvalid, match=words):
        provider().check(job(options=options))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (spoken(text="x" * 5001), "text has 5001 characters, sync takes 5000"),
        (spoken(voice=None), "text needs a voice"),
        (job(video=None, image=IMAGE, options={"sync_mode": "loop"}), "sync_mode means nothing for an image"),
        (job(video=None, image=IMAGE, options=SPEAKER), "auto_detect does not go with an image"),
        (job(video=None, image=IMAGE, options=segments(ONE)), "segments do not go with an image"),
        (job(video=None, image=IMAGE, audio=None, language="de"), "an image cannot be dubbed"),
        (job(audio=None, language="de", options=segments(ONE)), "a dubbed language brings its own"),
        (job(audio=None), "no speech; give audio or language or text"),
    ],
)
def test_combinations_that_the_vendor_refuses_are_refused_here(given: Job, words: str) -> None:
    with pytest.raises(JobInvalid, match=words):
        provider().check(given)


def test_options_made_in_code_are_checked_at_once() -> None:
    with pytest.raises(JobInvalid, match="temperature must be between 0 and 1, not 3"):
        SyncOptions(temperature=3)
    with pytest.raises(JobInvalid, match="unknown name 'face'"):
        SyncOptions(active_speaker_detection={"face": 1})


def test_a_private_webhook_is_fine_where_the_account_allows_it() -> None:
    provider(allow_private_hosts=True).check(job(options={"webhook_url": "http://127.0.0.1:9/x"}))


def test_the_longest_text_is_taken() -> None:
    provider().check(spoken(text="x" * 5000))


# -- looks -----------------------------------------------------------------------------------------------------------


def test_a_quick_look_asks_for_the_progress() -> None:
    request = next(provider().poll({"id": "a/b"}))
    assert request == Request(
        method="GET", url="https://api.sync.so/v2/generate/a%2Fb?include=progress", classes=("read", "all")
    )


@pytest.mark.parametrize(("hold", "seconds"), [(0.3, 1), (1, 1), (7.9, 7), (10, 10), (60, 10)])
def test_a_held_look_waits_for_one_to_ten_seconds_and_asks_for_no_progress(hold: float, seconds: int) -> None:
    request = next(provider().poll({"id": ID}, hold))
    assert isinstance(request, Request)
    assert request.url == f"https://api.sync.so/v2/generate/{ID}?wait=true&timeout={seconds}"
    assert request.hold == seconds


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ("PENDING", Seen.QUEUED),
        ("PROCESSING", Seen.RUNNING),
        ("COMPLETED", Seen.RUNNING),
        ("FAILED", Seen.FAILED),
        ("REJECTED", Seen.FAILED),
        ("CANCELED", Seen.FAILED),
        ("TIMED_OUT", Seen.FAILED),
        ("THINKING", Seen.RUNNING),
        ("", Seen.RUNNING),
        (None, Seen.RUNNING),
        (3, Seen.RUNNING),
    ],
)
def test_every_status_without_a_url_has_its_meaning(status: object, seen: Seen) -> None:
    assert observed(generation(status)).seen is seen


def test_a_completed_generation_has_a_link_its_end_and_an_estimated_cost() -> None:
    seen = observed(generation("COMPLETED", outputUrl=RESULT, outputDuration=12.5))
    assert seen.seen is Seen.SUCCEEDED
    assert seen.outputs == (Artifact(url=RESULT, expires_at=1_763_600_400.0 + 604_800),)
    assert seen.cost == Cost(amount=0.625, unit="usd", usd=0.625, estimated=True)


@pytest.mark.parametrize("url", [None, "", "not a url", "ftp://x/y", 5, "https://"])
def test_completed_without_a_link_is_not_done_yet(url: object) -> None:
    seen = observed(generation("COMPLETED", outputUrl=url))
    assert (seen.seen, seen.status) == (Seen.RUNNING, "COMPLETED")
    assert seen.verdict.kind is Kind.PROTOCOL
    assert ("gives no link" if url in (None, "") else str(url)) in seen.verdict.message


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("sync-3", 1.335),
        ("lipsync-2-pro", 0.8325),
        ("lipsync-2", 0.5),
        ("lipsync-1.9.0-beta", 0.25),
        ("react-1", 1.6675),
    ],
)
def test_the_price_of_every_model_is_per_second(model: str, cost: float) -> None:
    seen = observed(generation("COMPLETED", outputUrl=RESULT, outputDuration=10, model=model))
    assert seen.cost.amount == pytest.approx(cost)
    price = provider().sheet.models[model].price
    assert price is not None
    assert price.dated


@pytest.mark.parametrize("found", [{"model": "new"}, {"model": None}, {"outputDuration": "x"}, {"outputDuration": -1}])
def test_without_a_price_or_a_length_there_is_no_cost(found: dict[str, object]) -> None:
    assert observed(generation("COMPLETED", **{"outputUrl": RESULT, "outputDuration": 1, **found})).cost is None


@pytest.mark.parametrize(("percent", "progress"), [(42, 42.0), ("7.5", 7.5), (140, 100.0), (-3, 0.0), (None, None)])
def test_the_progress_is_what_the_vendor_says(percent: object, progress: float | None) -> None:
    assert observed(generation("PROCESSING", progress_percent=percent)).progress == progress


def test_a_held_look_hints_at_the_next() -> None:
    assert observed(generation("PROCESSING"), retry_after="2").hint == 2.0
    assert observed(generation("PROCESSING")).hint is None


@pytest.mark.parametrize("status", ["PENDING", "PROCESSING", "SOMETHING_NEW"])
def test_no_hint_puts_the_next_look_off_for_hours(status: str) -> None:
    for told in ("86400", "1e8"):
        assert observed(generation(status), retry_after=told).hint == 300.0


def test_a_fresh_link_comes_with_the_next_look() -> None:
    fresh = RESULT.replace("20251120", "20251128")
    assert observed(generation("COMPLETED", outputUrl=fresh)).outputs[0].url == fresh


def test_one_list_request_looks_at_many() -> None:
    ours = provider()
    rows = [
        {**generation("PROCESSING"), "id": "b"},
        {**generation("COMPLETED", outputUrl=RESULT), "id": "a/1"},
        {**generation("PENDING"), "id": "stranger"},
        "noise",
        {"status": "PENDING"},
    ]
    handles = [{"id": "a/1"}, {"id": "b"}, {"id": "missing"}]
    played = drive(ours, ours.poll_many(handles), reply(rows))
    assert played.request == Request(
        method="GET", url="https://api.sync.so/v2/generations?ids=a%2F1,b,missing", classes=("read", "all")
    )
    assert {name: seen.seen for name, seen in played.result.items()} == {"a/1": Seen.SUCCEEDED, "b": Seen.RUNNING}


@pytest.mark.parametrize("turned", [False, True])
def test_an_end_that_a_list_tells_beside_an_older_state_of_the_job_is_not_lost(turned: bool) -> None:
    ours = provider()
    rows = [{**generation("COMPLETED", outputUrl=RESULT), "id": "a"}, {**generation("PROCESSING"), "id": "a"}]
    played = drive(ours, ours.poll_many([{"id": "a"}]), reply(rows[::-1] if turned else rows))
    assert played.result["a"].seen is Seen.SUCCEEDED


def test_looking_at_nothing_asks_nothing() -> None:
    ours = provider()
    assert drive(ours, ours.poll_many([])).requests == ()


@pytest.mark.parametrize("found", [{}, "x", 5, {"items": None}])
def test_a_list_that_is_none_makes_no_sense(found: object) -> None:
    ours = provider()
    with pytest.raises(Refused) as caught:
        drive(ours, ours.poll_many([{"id": "a"}]), reply(found))
    assert caught.value.verdict.kind is Kind.PROTOCOL


# -- estimates and settings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [{"estimatedGenerationCost": 1.5}, [{"estimatedGenerationCost": "1.5"}]])
def test_the_vendor_is_asked_for_an_estimate(found: object) -> None:
    ours = provider()
    played = drive(ours, ours.estimate(job(model="sync-3"), 12.0), reply(found))
    assert played.request.url == "https://api.sync.so/v2/generations/estimate"
    assert played.request.role is Role.SAFE
    assert played.request.json == {"model": "sync-3", "duration": 12.0}
    assert played.result == Cost(amount=1.5, unit="usd", usd=1.5, estimated=True)


@pytest.mark.parametrize(
    "outcome",
    [
        reply({}),
        reply({"estimatedGenerationCost": None}),
        reply({"errorCode": "cost_estimate_unavailable", "message": "x"}, 422),
        reply(b"", 404),
    ],
)
def test_without_an_answer_the_price_table_estimates(outcome: Any) -> None:
    ours = provider()
    assert drive(ours, ours.estimate(job(), 10.0, 25.0), outcome).result == Cost(
        amount=0.5, unit="usd", usd=0.5, estimated=True
    )
    assert drive(ours, ours.estimate(job(), 10.0), outcome).result.amount == pytest.approx(0.6)
    assert drive(ours, ours.estimate(job(), 10.0, 60.0), outcome).result.amount == pytest.approx(1.2)


def test_more_frames_a_second_than_the_vendor_assumes_are_told_to_it() -> None:
    ours = provider()
    asked = drive(ours, ours.estimate(job(), 12.0, 60.0), reply({"estimatedGenerationCost": 1.5})).request
    assert asked.json == {"model": "lipsync-2", "duration": 12.0, "fps": 60.0}
    stated = provider(price="0.1 usd/s")
    assert stated.reckon(job(), 10.0, 60.0).amount == 1.0


def test_a_newer_model_has_no_price() -> None:
    ours = provider(extra_models=["sync-4"])
    for outcome in (reply({}), reply(b"", 404)):
        assert drive(ours, ours.estimate(job(model="sync-4"), 10.0), outcome).result is None


def test_a_refused_key_is_not_taken_for_an_estimate() -> None:
    ours = provider()
    with pytest.raises(Refused):
        drive(ours, ours.estimate(job(), 10.0), reply({}, 401))


def test_the_replay_lifetime_is_a_setting() -> None:
    assert provider().sheet.replay_lifetime == 24 * 3600.0
    assert provider(replay_lifetime="90min").sheet.replay_lifetime == 5400.0
    assert Sync.sheet.replay_lifetime == 24 * 3600.0
    assert provider().sheet.safety is Safety.REPLAY


@pytest.mark.parametrize("lifetime", ["soon", 0, -1, True])
def test_a_replay_lifetime_that_is_none_is_refused(lifetime: object) -> None:
    with pytest.raises(ConfigError, match=r"accounts\.sync: replay_lifetime"):
        provider(replay_lifetime=lifetime)


def test_the_key_travels_in_its_header() -> None:
    ours = provider()
    credential = drive(ours, ours.authorize(None, 0.0)).result
    assert ours.sign(Request(method="GET", url=ours.base), credential, 0.0) == {"x-api-key": "key"}
