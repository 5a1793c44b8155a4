"""The demo's forty jobs: every speech, model and length rule that the vendors have, no two alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from viseme import Account, Job, Rate

__all__ = ["CLIPS", "accounts", "jobs"]

CLIPS = {"sample.mp4": 4.0, "tall.mp4": 3.0, "film.mp4": 3.0, "short.mp4": 1.0}
"""The sandbox's sample videos, with their seconds: wide, tall, larger, short."""

_MODES = ("bounce", "loop", "cut_off", "silence", "remap")
_MODELS = ("lipsync-2", "lipsync-2-pro", "lipsync-1.9.0-beta", "sync-3")
_PLAYBACK = ("normal", "normal_reverse", "normal_reverse_by_audio")
_EMOTIONS = ("happy", "surprised")
_SPEAKERS = ("Harper", "Oliver", "Ava", "Liam", "Chloe", "Jack")
_TEXTS = (
    "Good morning, and welcome to the demo.",
    "This sentence was never recorded by anyone.",
    "The mouth follows the words, the words follow the money.",
    "Forty jobs, three vendors, one bill.",
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
    }
    return [
        Account(
            provider,
            api_key="sandbox",
            base_url=f"{address}/{provider}",
            allow_private_hosts=True,
            concurrency=seats,
            rates=rates,
            polling={"first": 10 / speed, "every": 10 / speed},
        )
        for provider, (seats, rates) in limits.items()
    ]


def jobs(media: str) -> Iterator[Job]:
    """The jobs; ``metadata`` says how many ``seconds`` each result must last.

    Args:
        media: the address of the sample media.
    """
    yield from _sync(media)
    yield from _jogg(media)
    yield from _aimlapi(media)


def _sync(media: str) -> Iterator[Job]:
    names = list(CLIPS)
    for number in range(10):
        mode, clip, voice = _MODES[number % 5], names[number % 4], 2.0 + number % 3
        length = {"cut_off": min(CLIPS[clip], voice), "silence": CLIPS[clip]}.get(mode, voice)
        yield _job(
            "sync",
            number,
            length,
            video=f"{media}/{clip}",
            audio=f"{media}/audio-{voice:g}-{number}.wav",
            model=_MODELS[number % 4],
            options={"sync_mode": mode},
        )
    for number, emotion in enumerate(_EMOTIONS, 10):
        audio = f"{media}/audio-2-{number}.wav"
        video = f"{media}/tall.mp4"
        yield _job("sync", number, 2.0, video=video, audio=audio, model="react-1", options={"prompt": emotion})
    for number, text in enumerate(_TEXTS[:2], 12):
        yield _job("sync", number, _spoken(text), video=f"{media}/film.mp4", text=text, voice="EXAVITQu4vr4xnSDxMaL")
    yield _job("sync", 14, CLIPS["tall.mp4"], video=f"{media}/tall.mp4", language="Spanish")
    yield _job("sync", 15, 2.0, image=f"{media}/face.jpg", audio=f"{media}/audio-2-15.wav", model="sync-3")


def _jogg(media: str) -> Iterator[Job]:
    names = list(CLIPS)
    for number in range(12):
        voice = 2.0 + number % 2
        yield _job(
            "jogg",
            number,
            voice,
            video=f"{media}/{names[number % 4]}",
            audio=f"{media}/audio-{voice:g}-{20 + number}.wav",
            options={"playback_type": _PLAYBACK[number % 3]},
        )


def _aimlapi(media: str) -> Iterator[Job]:
    names = list(CLIPS)
    for number in range(6):
        voice = 2.0 + number % 2
        audio = f"{media}/audio-{voice:g}-{40 + number}.wav"
        yield _job("aimlapi", number, voice, video=f"{media}/{names[number % 4]}", audio=audio)
    for number, (text, speaker) in enumerate(zip(_TEXTS, _SPEAKERS, strict=True), 6):
        video = f"{media}/{names[number % 4]}"
        yield _job("aimlapi", number, _spoken(text), video=video, text=text, voice=speaker)


def _job(account: str, number: int, seconds: float, **fields: Any) -> Job:
    return Job(account=account, key=f"{account}-{number + 1:02}", metadata={"seconds": seconds}, **fields)


def _spoken(text: str) -> float:
    return max(1.0, len(text) / _LETTERS_PER_SECOND)
