"""The demo's forty jobs: every start, speech, model and length rule that the vendors have, no two alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from viseme import Account, Job, Rate
from viseme.cli.demo_media import Media

__all__ = ["accounts", "jobs"]

_CLIPS = {"sample.mp4": 4.0, "tall.mp4": 3.0, "film.mp4": 3.0, "short.mp4": 1.0}
"""The sandbox's sample videos, with their seconds: wide, tall, larger, short."""

_MODES = ("bounce", "loop", "cut_off", "silence", "remap")
_MODELS = ("lipsync-2", "lipsync-2-pro", "lipsync-1.9.0-beta", "sync-3")
_PLAYBACK = ("normal", "normal_reverse", "normal_reverse_by_audio")
_LANGUAGES = ("es", "fr", "de")
_EMOTIONS = ("happy", "surprised")
_SPEAKERS = ("Ava", "Liam", "Chloe", "Jack")
_TEXTS = (
    "Good morning, and welcome to the demo.",
    "This sentence was never recorded by anyone.",
    "The mouth follows the words, the words follow the money.",
    "Forty jobs, four vendors, one bill.",
    "A job that was paid for is a job that is delivered.",
    "And that was the last of them. Goodbye!",
)
_LETTERS_PER_SECOND = 15
"""How fast the sandbox's own voices speak."""


def accounts(address: str, speed: float) -> list[Account]:
    """Accounts at the sandbox, with the vendors' limits on its clock: a vendor's minute is ``60 / speed`` seconds."""
    minute = 60 / speed
    limits: dict[str, tuple[int, dict[str, Any]]] = {
        "sync": (4, {"create": [Rate(100, minute)], "read": [Rate(600, minute)]}),
        "jogg": (3, {"post": [Rate(20, minute)], "read": [Rate(300, minute)]}),
        "aimlapi": (3, {"create": [Rate(60, minute)], "read": [Rate(600, minute)]}),
        "rask": (4, {"all": [Rate(120, minute)]}),
    }
    return [
        Account(
            provider,
            base_url=f"{address}/{provider}",
            allow_private_hosts=True,
            concurrency=seats,
            rates=rates,
            polling={"first": 10 / speed, "every": 10 / speed},
            **_credentials(provider, address),
        )
        for provider, (seats, rates) in limits.items()
    ]


def _credentials(provider: str, address: str) -> dict[str, Any]:
    if provider != "rask":
        return {"api_key": "sandbox"}
    return {
        "client_id": "sandbox",
        "client_secret": "sandbox",
        "token_url": f"{address}/rask/oauth2/token",
        "allow_paid": True,
    }


def jobs(media: Media) -> Iterator[Job]:
    """The jobs; ``metadata`` says how many ``seconds`` each result must last."""
    yield from _rask(media)
    yield from _sync(media)
    yield from _jogg(media)
    yield from _aimlapi(media)


def _sync(media: Media) -> Iterator[Job]:
    names = list(_CLIPS)
    for number in range(7):
        mode, clip, voice = _MODES[number % 5], names[number % 4], 2.0 + number % 3
        length = {"cut_off": min(_CLIPS[clip], voice), "silence": _CLIPS[clip]}.get(mode, voice)
        yield _job(
            "sync",
            number,
            length,
            video=media.link(clip),
            audio=media.voice(voice, number),
            model=_MODELS[number % 4],
            options={"sync_mode": mode},
        )
    for number, emotion in enumerate(_EMOTIONS, 7):
        video, options = media.link("tall.mp4"), {"prompt": emotion}
        yield _job("sync", number, 2.0, video=video, audio=media.voice(2, number), model="react-1", options=options)
    for number, text in enumerate(_TEXTS[:2], 9):
        yield _job("sync", number, _spoken(text), video=media.link("film.mp4"), text=text, voice="EXAVITQu4vr4xnSDxMaL")
    yield _job("sync", 11, _CLIPS["tall.mp4"], video=media.link("tall.mp4"), language="Spanish")
    yield _job("sync", 12, 2.0, image=media.link("face.jpg"), audio=media.voice(2, 12), model="sync-3")
    yield _job("sync", 13, 5.0, video=media.video, audio=media.audio, options={"sync_mode": "bounce"})
    yield _job("sync", 14, 2.0, video=media.video, audio=media.voice(2, 14), options={"sync_mode": "cut_off"})


def _jogg(media: Media) -> Iterator[Job]:
    names = list(_CLIPS)
    for number in range(8):
        voice, options = 2.0 + number % 2, {"playback_type": _PLAYBACK[number % 3]}
        video = media.link(names[number % 4])
        yield _job("jogg", number, voice, video=video, audio=media.voice(voice, 20 + number), options=options)
    yield _job("jogg", 8, 5.0, video=media.video, audio=media.audio)


def _aimlapi(media: Media) -> Iterator[Job]:
    names = list(_CLIPS)
    for number in range(4):
        voice = 2.0 + number % 2
        yield _job("aimlapi", number, voice, video=media.link(names[number]), audio=media.voice(voice, 40 + number))
    yield _job("aimlapi", 4, 2.0, video=media.video, audio=media.voice(2, 44))
    for number, (text, speaker) in enumerate(zip(_TEXTS[2:], _SPEAKERS, strict=True), 5):
        video = media.link(names[number % 4])
        yield _job("aimlapi", number, _spoken(text), video=video, text=text, voice=speaker)


def _rask(media: Media) -> Iterator[Job]:
    """The longest way first: its preview comes before the whole."""
    film, sample = media.link("film.mp4"), media.link("sample.mp4")
    yield _job("rask", 0, _CLIPS["film.mp4"], video=film, language="it", options={"preview": "first"})
    for number, language in enumerate(_LANGUAGES, 1):
        yield _job("rask", number, _CLIPS["sample.mp4"], video=sample, language=language, source_language="en")
    yield _job("rask", 4, _CLIPS["tall.mp4"], language="pt", options={"media_id": media.medium})
    for number, language in enumerate(("ja", "ko"), 5):
        yield _job("rask", number, _CLIPS["sample.mp4"], video=media.video, language=language)


def _job(account: str, number: int, seconds: float, **fields: Any) -> Job:
    return Job(account=account, key=f"{account}-{number + 1:02}", metadata={"seconds": seconds}, **fields)


def _spoken(text: str) -> float:
    return max(1.0, len(text) / _LETTERS_PER_SECOND)
