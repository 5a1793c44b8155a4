"""What the facts of its media mean for a job, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve, frozen

import viseme
from viseme.engine.preflight.facts import Facts, Reach
from viseme.engine.preflight.rules import Flaw, flaws
from viseme.failures import Kind
from viseme.providers import adapter
from viseme.providers.base import Limits, Provider

NOW = 1_795_000_000.0
VIDEO = Facts(
    bytes=1000, container="mp4", measured=True, seconds=10.0, width=640, height=360, video="h264", audio="aac"
)
AUDIO = Facts(bytes=1000, container="wav", measured=True, seconds=10.0, audio="pcm_s16le")
PICTURE = Facts(bytes=1000, container="jpg", measured=True, width=640, height=360, picture=True)
LINKS = {"video": "https://cdn.example/a.mp4?sig=secret", "audio": "https://cdn.example/a.wav"}
UNREACHABLE = Kind.MEDIA_UNREACHABLE


def vendor(name: str = "sync", limits: Limits | None = None, field: str = "video", **given: Any) -> Provider:
    """An adapter, whose models all have the given limits for one field where there are any."""
    provider = adapter(viseme.Account(name, **{"api_key": "k", **given}))
    if limits is not None:
        models = {name: evolve(model, limits={field: limits}) for name, model in provider.sheet.models.items()}
        provider.sheet = evolve(provider.sheet, models=models)
    return provider


def found(
    provider: Provider | None = None, video: Facts = VIDEO, audio: Facts | None = AUDIO, turns: int = 0, **job: Any
) -> list[Flaw]:
    given = {name: link for name, link in LINKS.items() if name == "video" or audio is not None}
    facts = {"video": video, **({"audio": audio} if audio is not None else {})}
    return flaws(viseme.Job(**given, **job), provider or vendor(), facts, now=NOW, turns=turns)


@frozen
class Case:
    """What one medium is, what is said of it, and whether that is certain."""

    said: str | None
    certain: bool
    video: Facts = VIDEO
    audio: Facts | None = AUDIO
    limits: Limits | None = None
    kind: Kind = Kind.INVALID
    options: dict[str, Any] | None = None


def of(**changes: Any) -> Facts:
    return evolve(VIDEO, **changes)


def gone(reach: Reach, answer: str, **changes: Any) -> Facts:
    return Facts(reach=reach, answer=answer, **changes)


CASES = {
    "good": Case(None, False),
    "gone": Case(
        "video 'https://cdn.example/a.mp4' answers HTTP 404; give a link that leads to the file",
        True,
        gone(Reach.GONE, "HTTP 404"),
        kind=UNREACHABLE,
    ),
    "a page": Case("is a web page", True, of(fault="is a web page, not the media itself"), kind=UNREACHABLE),
    "cut off": Case(
        "is cut off: 5 of 9 bytes; give the direct", True, of(fault="is cut off: 5 of 9 bytes"), kind=UNREACHABLE
    ),
    "silent": Case(
        "cannot be reached from here (no route); make sure that sync can",
        False,
        gone(Reach.SILENT, "no route"),
        kind=UNREACHABLE,
    ),
    "refused": Case(
        "answers HTTP 403 to a request without credentials", False, gone(Reach.REFUSED, "HTTP 403"), kind=UNREACHABLE
    ),
    "refused and expired": Case(
        "answers HTTP 403, for its link expired at 2026-11-18 11:06 UTC; sign it anew",
        True,
        gone(Reach.REFUSED, "HTTP 403", expires=NOW - 1),
        kind=UNREACHABLE,
    ),
    "refused, not expired": Case(
        "answers HTTP 403 to", False, gone(Reach.REFUSED, "HTTP 403", expires=NOW + 9), kind=UNREACHABLE
    ),
    "expired by its words": Case(
        "expired at 2026-11-18 11:06 UTC by its own words", False, of(expires=NOW - 1), kind=UNREACHABLE
    ),
    "expires before the end": Case("has a link that expires at", False, of(expires=NOW + 15), kind=UNREACHABLE),
    "expires after the end": Case(None, False, of(expires=NOW + 30)),
    "no picture in it": Case("has no video stream (mp4 with aac)", True, of(video=None)),
    "a still picture": Case("is a still picture (jpg); give a video", True, PICTURE),
    "a silent video with an audio": Case(None, False, of(audio=None)),
    "an audio without sound": Case("audio 'https://cdn.example/a.wav' has no audio stream", True, audio=of(audio=None)),
    "a picture as audio": Case("is a still picture (jpg); give an audio file", True, audio=PICTURE),
    "a video as audio": Case(None, False, audio=VIDEO),
    "unmeasured": Case(None, False, Facts(container="mp4", bytes=10)),
    "undetermined": Case("was not looked at", False, of(measured=False, doubt="was not looked at")),
    "no length": Case("does not say how long it is", False, of(seconds=None)),
    "too many bytes": Case(
        "has 2.0 MiB, lipsync-2 takes 1.0 MiB; make it", True, of(bytes=2 << 20), limits=Limits(bytes=1 << 20)
    ),
    "bytes at the limit": Case(None, False, of(bytes=1000), limits=Limits(bytes=1000)),
    "too long": Case("lasts 10.0 s, lipsync-2 takes 9 s; shorten it", True, limits=Limits(seconds=9.0)),
    "too long by rounding": Case("lasts 10.0 s, lipsync-2 takes 9.9 s", False, limits=Limits(seconds=9.9)),
    "as long as it may be": Case(None, False, limits=Limits(seconds=10.0)),
    "too long by estimate": Case("lasts about 10.0 s", False, of(rough=True), limits=Limits(seconds=5.0)),
    "too long by a guess": Case(
        "(a limit that the vendor may not enforce)", False, limits=Limits(seconds=5.0, sure=False)
    ),
    "too wide": Case("is 640 x 360 pixels, lipsync-2 takes 600 on the longer side", True, limits=Limits(side=600)),
    "too high": Case("is 360 x 640 pixels", True, of(width=360, height=640), limits=Limits(side=600)),
    "another container": Case(
        "is mkv, lipsync-2 takes mov, mp4; convert it",
        True,
        of(container="mkv"),
        limits=Limits(containers=frozenset({"mp4", "mov"})),
    ),
    "a container's sibling": Case(None, False, of(container="mov"), limits=Limits(containers=frozenset({"mp4"}))),
    "an unknown container": Case(None, False, of(container=None), limits=Limits(containers=frozenset({"mp4"}))),
    "another codec": Case("is coded as h264, lipsync-2 takes hevc", True, limits=Limits(codecs=frozenset({"hevc"}))),
    "speech cut off": Case(
        "lasts 10.0 s and the video 5.0 s: sync_mode cut_off cuts the rest off",
        False,
        of(seconds=5.0),
        options={"sync_mode": "cut_off"},
    ),
    "speech played on": Case(None, False, of(seconds=5.0), options={"sync_mode": "loop"}),
    "speech hardly longer": Case(None, False, of(seconds=9.7), options={"sync_mode": "cut_off"}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_rule_says_what_is_wrong_and_how_sure_that_is(name: str) -> None:
    case = CASES[name]
    told = found(vendor(limits=case.limits), case.video, case.audio, options=case.options or {})
    if case.said is None:
        assert told == []
        return
    (flaw,) = told
    assert case.said in flaw.message
    assert (flaw.certain, flaw.kind) == (case.certain, case.kind)
    assert "secret" not in flaw.message


def test_a_video_that_is_to_be_dubbed_needs_a_voice() -> None:
    (flaw,) = found(video=of(audio=None), audio=None, language="de")
    assert flaw.certain
    assert "has no audio stream (mp4 with h264); give a file in which somebody speaks" in flaw.message


def test_a_film_is_no_image() -> None:
    job = viseme.Job(image="https://cdn.example/a.jpg", audio=LINKS["audio"], model="sync-3")
    (flaw,) = flaws(job, vendor(), {"image": VIDEO, "audio": AUDIO}, now=NOW)
    assert "is no still picture but mp4 with h264 and aac" in flaw.message
    assert flaws(job, vendor(), {"image": PICTURE, "audio": AUDIO}, now=NOW) == []


def test_a_local_file_is_named_as_one() -> None:
    job = viseme.Job(video="/clips/a.mp4", audio=LINKS["audio"])
    facts = {"video": gone(Reach.GONE, "Permission denied"), "audio": AUDIO}
    (flaw,) = flaws(job, vendor(), facts, now=NOW)
    assert flaw.message == "video '/clips/a.mp4' cannot be read: Permission denied; name a file that is there"


def test_jobs_that_wait_for_their_turn_need_links_that_live_longer() -> None:
    lasting = of(expires=NOW + 1000)
    assert found(video=lasting) == []
    (flaw,) = found(video=lasting, turns=100)
    assert "expires at" in flaw.message


@pytest.mark.parametrize(
    ("seconds", "rough", "certain"), [(30.0, False, None), (31.0, False, True), (31.0, True, False)]
)
def test_what_is_too_long_for_a_batch_is_told_before_it_is_bought(
    seconds: float, rough: bool, certain: bool | None
) -> None:
    facts = {"video": of(seconds=seconds, rough=rough), "audio": evolve(AUDIO, seconds=9.0)}
    told = flaws(viseme.Job(**LINKS), vendor(), facts, now=NOW, together=True)
    assert [flaw.certain for flaw in told] == ([] if certain is None else [certain])
    assert all("a batch takes 30 s" in flaw.message for flaw in told)
    assert flaws(viseme.Job(**LINKS), vendor(), facts, now=NOW) == []


def test_a_page_is_no_fault_where_the_vendor_takes_pages() -> None:
    provider = vendor()
    provider.sheet = evolve(provider.sheet, page_hosts=frozenset({"videos.example"}))
    page = of(fault="is a web page, not the media itself")
    for host, wrong in (("www.videos.example", 0), ("videos.example", 0), ("notvideos.example", 1)):
        job = viseme.Job(video=f"https://{host}/watch?v=1", audio=LINKS["audio"])
        assert len(flaws(job, provider, {"video": page, "audio": AUDIO}, now=NOW)) == wrong


@pytest.mark.parametrize(
    ("name", "job", "video", "audio", "said", "certain"),
    [
        ("sync", {"model": "react-1"}, of(seconds=15.6), AUDIO, "react-1 takes 15 s", True),
        ("sync", {"model": "react-1"}, of(seconds=15.0), AUDIO, None, False),
        ("sync", {}, of(seconds=1801.0), AUDIO, "takes 1800 s", False),
        ("sync", {}, of(container="mkv"), AUDIO, "is mkv", False),
        ("jogg", {}, of(bytes=200 << 20), AUDIO, "takes 100.0 MiB", False),
        ("jogg", {}, of(video="av1"), AUDIO, "is coded as av1", False),
        ("jogg", {}, VIDEO, evolve(AUDIO, seconds=601.0), "takes 600 s", False),
        ("jogg", {}, VIDEO, evolve(AUDIO, seconds=12.0), "playback_type normal is not documented", False),
        ("jogg", {"options": {"playback_type": "normal_reverse"}}, VIDEO, evolve(AUDIO, seconds=12.0), None, False),
        ("aimlapi", {}, of(seconds=31.0), AUDIO, "takes 30 s", False),
        ("aimlapi", {}, of(width=3840, height=2160), AUDIO, "takes 1920 on the longer side", False),
        ("aimlapi", {}, VIDEO, evolve(AUDIO, container="flac"), "is flac, pixverse/lip-sync takes mp3, wav", False),
        ("aimlapi", {}, VIDEO, evolve(AUDIO, seconds=12.0), None, False),
    ],
)
def test_the_published_limits_stand_in_the_models(
    name: str, job: dict[str, Any], video: Facts, audio: Facts, said: str | None, certain: bool
) -> None:
    told = [flaw for flaw in found(vendor(name), video, audio, **job) if said is None or said in flaw.message]
    assert [flaw.certain for flaw in told] == ([] if said is None else [certain])


def test_of_a_model_that_is_newer_than_this_release_nothing_is_assumed() -> None:
    provider = vendor(extra_models=["lipsync-9"])
    assert found(provider, of(container="mkv", seconds=9999.0), model="lipsync-9") == []


def test_rask_reads_pages_of_its_link_sources_and_needs_a_voice_in_the_video() -> None:
    provider = vendor("rask", api_key=None, client_id="i", client_secret="s", token_url="https://login.example/token")
    page = {"video": of(fault="is a web page, not the media itself")}
    for link, wrong in (
        ("https://www.youtube.com/watch?v=1", 0),
        ("https://youtu.be/1", 0),
        ("https://drive.google.com/file/d/1/view", 0),
        ("https://cdn.example/a.mp4", 1),
    ):
        told = flaws(viseme.Job(video=link, language="de"), provider, page, now=NOW)
        assert [flaw.certain for flaw in told] == [True] * wrong
    mute = {"video": of(audio=None)}
    (flaw,) = flaws(viseme.Job(video=LINKS["video"], language="de"), provider, mute, now=NOW)
    assert (flaw.certain, "has no audio stream" in flaw.message) == (True, True)
