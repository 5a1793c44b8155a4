"""How each vendor is handed a local file, and what its create then names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import asdict
from tests.unit.flows import AUDIO, VIDEO, drive, intent, reply

from viseme import Account, Job, JobInvalid
from viseme.errors import ConfigError
from viseme.failures import Kind
from viseme.keys import FileStamp
from viseme.providers.aimlapi import AimlApi
from viseme.providers.base import Base64Of, Fault, FilePart, Multipart, Provider, Refused, Request, Role, Uploaded
from viseme.providers.jogg import JoggAI
from viseme.providers.sync import Sync

TALK = FilePart(path="/in/talk.mp4", size=4000, mtime=7, name="talk.mp4", content_type="video/mp4")
SPEECH = FilePart(path="/in/speech.wav", size=300, mtime=8, name="speech.wav", content_type="audio/wav")
PUT_TO = "https://storage.example/talk.mp4?X-Amz-Signature=abc"
PUT_ANEW = "https://storage.example/talk.mp4?X-Amz-Signature=def"
ASSET_URL = "https://assets.example/talk.mp4"
STORED = reply(b"")
EXPIRED = reply(b"<Error><Code>AccessDenied</Code></Error>", 403)


def sync(**settings: Any) -> Sync:
    return Sync(Account("sync", api_key="key", **settings))


def jogg(**settings: Any) -> JoggAI:
    return JoggAI(Account("jogg", api_key="key", **settings))


def aimlapi(**settings: Any) -> AimlApi:
    return AimlApi(Account("aimlapi", api_key="key", **settings))


def job(**given: Any) -> Job:
    return Job(**{"video": "talk.mp4", "audio": AUDIO, **given})


def granted(link: str = PUT_TO, **more: Any) -> Any:
    return reply({"uploadUrl": link, "url": ASSET_URL, "expiresIn": 604_800, **more}, 201)


def signed(link: str = PUT_TO) -> Any:
    return reply({"code": 0, "msg": "Success", "data": {"sign_url": link, "asset_url": ASSET_URL}})


def put(link: str = PUT_TO) -> Request:
    return Request(method="PUT", url=link, role=Role.FOREIGN, classes=(), body=TALK)


def refusal(provider: Provider, *outcomes: Any) -> Any:
    with pytest.raises(Refused) as caught:
        drive(provider, provider.upload(job(), "video", TALK), *outcomes)
    return caught.value.verdict


# -- which media -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sync, jogg, aimlapi])
def test_only_local_files_are_handed_over(make: Any) -> None:
    ours = make()
    ours.check(job())
    assert ours.handed_over(job()) == ("video",)
    assert ours.handed_over(job(audio="speech.wav")) == ("video", "audio")
    assert ours.handed_over(job(video=VIDEO)) == ()


@pytest.mark.parametrize("make", [sync, jogg, aimlapi])
def test_an_empty_file_is_refused(make: Any) -> None:
    with pytest.raises(JobInvalid, match=r"video 'talk.mp4' is empty"):
        make().check_file(job(), "video", FileStamp("/in/talk.mp4", 0, 0))


# -- Sync ------------------------------------------------------------------------------------------------------------


def test_sync_is_asked_for_a_place_given_the_bytes_and_told_of_the_asset() -> None:
    ours = sync()
    played = drive(ours, ours.upload(job(), "video", TALK), granted(), STORED, reply({"id": "asset-1"}, 201))
    ask, stored, register = played.requests
    assert (ask.method, ask.url, ask.role) == ("POST", "https://api.sync.so/v2/assets/upload", Role.UPLOAD)
    assert ask.classes == ("upload", "post", "all")
    assert ask.json == {"fileName": "talk.mp4", "contentType": "video/mp4", "size": 4000}
    assert stored == put()
    assert (register.url, register.json) == ("https://api.sync.so/v2/assets", {"url": ASSET_URL, "type": "VIDEO"})
    assert "upload" not in register.classes
    assert played.result == Uploaded(handle={"url": ASSET_URL, "asset": "asset-1"}, lifetime=604_800)


def test_a_link_that_is_dead_already_is_asked_for_anew_once() -> None:
    ours = sync()
    outcomes = (granted(), EXPIRED, granted(PUT_ANEW), STORED, reply({"id": "asset-1"}, 201))
    played = drive(ours, ours.upload(job(), "video", TALK), *outcomes)
    assert [request.url for request in played.requests if request.method == "PUT"] == [PUT_TO, PUT_ANEW]
    verdict = refusal(ours, granted(), EXPIRED, granted(PUT_ANEW), EXPIRED)
    assert verdict.kind is Kind.TRANSIENT
    assert "sync's storage refused the upload (HTTP 403)" in verdict.message


def test_what_the_storage_only_said_it_took_is_sent_again_once() -> None:
    ours = sync()
    lost = reply({"message": "no such upload", "statusCode": 422, "errorCode": "uploaded_file_not_found"}, 422)
    again = (granted(), STORED, lost, granted(), STORED, reply({"id": "asset-1"}, 201))
    assert drive(ours, ours.upload(job(), "video", TALK), *again).result.handle["asset"] == "asset-1"
    assert refusal(ours, granted(), STORED, lost, granted(), STORED, lost).kind is Kind.MEDIA_UNREACHABLE


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Fault(sent=True, message="gone"), Kind.TRANSIENT),
        (reply(b"<Error/>", 503), Kind.TRANSIENT),
        (reply(b"<html>hello</html>", 200, content_type="text/html; charset=utf-8"), Kind.TRANSIENT),
        (reply(b"", 413), Kind.INVALID),
    ],
)
@pytest.mark.parametrize("make", [sync, jogg])
def test_what_a_storage_may_answer(make: Any, outcome: Any, kind: Kind) -> None:
    ours = make()
    verdict = refusal(ours, granted() if make is sync else signed(), outcome)
    assert verdict.kind is kind
    assert f"{ours.name}'s storage" in verdict.message


@pytest.mark.parametrize("make", [sync, jogg])
def test_a_grant_without_links_is_refused(make: Any) -> None:
    assert refusal(make(), reply({"code": 0, "data": {}}, 200)).kind is Kind.PROTOCOL


def test_sync_is_named_the_assets_that_it_has() -> None:
    ours = sync()
    handles = {"video": {"url": ASSET_URL, "asset": "asset-1"}, "audio": {"url": "https://assets.example/s.wav"}}
    request = next(ours.create(job(audio="speech.wav"), intent(), handles))
    assert isinstance(request, Request)
    assert request.json["input"] == [
        {"type": "video", "assetId": "asset-1"},
        {"type": "audio", "url": "https://assets.example/s.wav"},
    ]


def test_small_files_may_go_with_the_create() -> None:
    ours = sync(multipart_below="1KiB")
    assert drive(ours, ours.upload(job(audio="s.wav"), "audio", SPEECH)).result.lifetime == 0.0
    handle = drive(ours, ours.upload(job(audio="s.wav"), "audio", SPEECH)).result.handle
    json.dumps(handle)
    given = job(audio="s.wav", options={"syncMode": "loop"})
    request = next(ours.create(given, intent(), {"video": {"url": ASSET_URL, "asset": "a"}, "audio": handle}))
    assert isinstance(request, Request)
    assert request.json is None
    assert isinstance(request.body, Multipart)
    parts = dict(request.body.parts)
    assert parts.pop("audio") == SPEECH
    assert parts.pop("model") == "lipsync-2"
    assert {name: json.loads(str(value)) for name, value in parts.items()} == {
        "input": [{"type": "video", "assetId": "a"}],
        "options": {"sync_mode": "loop"},
    }
    assert request.headers["idempotency-key"]
    large = drive(ours, ours.upload(job(), "video", TALK), granted(), STORED, reply({"id": "a"}, 201)).result
    assert large.handle["asset"] == "a"


def test_files_whose_voices_have_names_are_never_sent_beside_the_create() -> None:
    ours = sync(multipart_below="1MiB")
    voices = job(audio="s.wav", options={"segments": [{"startTime": 0, "endTime": 1}]})
    played = drive(ours, ours.upload(voices, "audio", SPEECH), granted(), STORED, reply({"id": "a"}, 201))
    assert len(played.requests) == 3


# -- JoggAI ----------------------------------------------------------------------------------------------------------


def test_jogg_is_asked_for_a_place_and_given_the_bytes() -> None:
    ours = jogg()
    played = drive(ours, ours.upload(job(), "video", TALK), signed(), STORED)
    ask, stored = played.requests
    assert (ask.method, ask.url) == ("POST", "https://api.jogg.ai/v2/upload/asset")
    assert ask.json == {"filename": "talk.mp4", "content_type": "video/mp4", "file_size": 4000}
    assert "post" in ask.classes
    assert stored == put()
    assert played.result == Uploaded(handle={"url": ASSET_URL}, lifetime=None)
    again = drive(ours, ours.upload(job(), "video", TALK), signed(), EXPIRED, signed(PUT_ANEW), STORED)
    assert [request.url for request in again.requests if request.method == "PUT"] == [PUT_TO, PUT_ANEW]


def test_jogg_is_asked_for_a_lost_create_by_the_urls_that_were_sent() -> None:
    ours = jogg(lookup=True)
    created = reply({"code": 0, "data": {"task_id": "t", "status": "pending"}})
    played = drive(ours, ours.create(job(), intent(), {"video": {"url": ASSET_URL}}), created)
    assert played.request.json["video_url"] == ASSET_URL
    assert played.request.json["audio_url"] == AUDIO
    (saved,) = played.saved
    look = next(ours.reconcile(job(), intent(saved=dict(saved)), 0.0))
    assert isinstance(look, Request)
    assert "video_url=https%3A%2F%2Fassets.example%2Ftalk.mp4&audio_url=https" in look.url


# -- AI/ML API -------------------------------------------------------------------------------------------------------


def test_aimlapi_gets_a_small_file_inside_the_create() -> None:
    ours = aimlapi()
    handed = drive(ours, ours.upload(job(), "video", TALK)).result
    assert (handed.lifetime, handed.handle) == (0.0, {"file": asdict(TALK)})
    request = next(ours.create(job(), intent(), {"video": handed.handle}))
    assert isinstance(request, Request)
    assert request.json == {"model": "pixverse/lip-sync", "video_url": Base64Of(TALK), "audio_url": AUDIO}


def test_aimlapi_takes_no_large_file() -> None:
    ours = aimlapi(max_inline="1 MiB")
    ours.check_file(job(), "video", FileStamp("/in/talk.mp4", 2**20, 0))
    with pytest.raises(JobInvalid, match=r"has 1048577 bytes; aimlapi takes local files of up to 1048576.*host it"):
        ours.check_file(job(), "video", FileStamp("/in/talk.mp4", 2**20 + 1, 0))
    with pytest.raises(JobInvalid, match="is a local file"):
        aimlapi(max_inline=0).check(job())


@pytest.mark.parametrize("wrong", ["4 apples", "-1", -1, True, 1.5])
def test_a_size_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match="is not a size"):
        aimlapi(max_inline=wrong)
