"""Default keys: fixed for ever. A vector that changes here breaks every ledger there is."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from viseme.errors import JobInvalid
from viseme.jobs import Job
from viseme.keys import FileStamp, canonical, default_key, inputs_digest

VIDEO = "https://media.example/talk.mp4"
AUDIO = "https://media.example/speech.wav"
STAMP = FileStamp("/srv/talk.mp4", 1048576, 1763600400000000000)

VECTORS: list[tuple[Job, str, dict[str, FileStamp], bytes, str]] = [
    (
        Job(video=VIDEO, audio=AUDIO),
        "sync",
        {},
        b'{"account":"sync","audio":"https://media.example/speech.wav","v":1,"video":"https://media.example/talk.mp4"}',
        "45deace98714e6d4b9edcb93e101e03f",
    ),
    (
        Job(video=VIDEO, text="Grüße, 世界 🎬", voice="Oliver", model="pixverse/lip-sync"),
        "aimlapi",
        {},
        '{"account":"aimlapi","model":"pixverse/lip-sync","text":"Grüße, 世界 🎬","v":1,'
        '"video":"https://media.example/talk.mp4","voice":"Oliver"}'.encode(),
        "fbbbedc0311e3b3e958a37ba6a57b080",
    ),
    (
        Job(
            image="https://media.example/face.png",
            audio=AUDIO,
            model="sync-3",
            options={"temperature": 0.50, "sync_mode": "loop", "segments": [{"start_time": 0, "end_time": 2.50}]},
        ),
        "sync",
        {},
        b'{"account":"sync","audio":"https://media.example/speech.wav","image":"https://media.example/face.png",'
        b'"model":"sync-3","options":{"segments":[{"end_time":2.5,"start_time":0}],"sync_mode":"loop",'
        b'"temperature":0.5},"v":1}',
        "6b1d11c3835f5d786abb0f68ba1876db",
    ),
    (
        Job(video=VIDEO, language="de", source_language="en"),
        "rask",
        {},
        b'{"account":"rask","language":"de","source_language":"en","v":1,"video":"https://media.example/talk.mp4"}',
        "4079b36cb7fd7ca92f8d3dbfb15ccf66",
    ),
    (
        Job(video="talk.mp4", audio=AUDIO),
        "sync",
        {"talk.mp4": STAMP},
        b'{"account":"sync","audio":"https://media.example/speech.wav","v":1,'
        b'"video":{"mtime":1763600400000000000,"path":"/srv/talk.mp4","size":1048576}}',
        "3e8e31c771e1424e0c7fd54a35c7fd8d",
    ),
]


@pytest.mark.parametrize(("job", "account", "files", "form", "key"), VECTORS)
def test_these_keys_never_change(job: Job, account: str, files: dict[str, FileStamp], form: bytes, key: str) -> None:
    assert default_key(job, account, files) == key
    assert hashlib.sha256(form).hexdigest()[:32] == key
    assert inputs_digest(job, account, files).startswith(key)
    assert len(inputs_digest(job, account, files)) == 64


def key(**given: Any) -> str:
    return default_key(Job(**{"video": VIDEO, "audio": AUDIO, **given}), "sync")


def test_what_does_not_make_another_job_does_not_make_another_key() -> None:
    plain = key()
    assert key(key="mine", output="a/b.mp4", priority=5, metadata={"a": 1}, account="sync") == plain
    assert key(options={}) == plain
    assert key(model="") == plain
    assert key(options={"a": 1, "b": 2}) == key(options={"b": 2, "a": 1.0})


@pytest.mark.parametrize(
    "given",
    [{"model": "x"}, {"video": f"{VIDEO}?a"}, {"audio": f"{AUDIO}?a"}, {"options": {"a": 1}}, {"options": {"a": None}}],
)
def test_what_makes_another_job_makes_another_key(given: dict[str, Any]) -> None:
    assert key(**given) != key()


def test_another_account_is_another_job() -> None:
    assert default_key(Job(video=VIDEO, audio=AUDIO), "other") != key()


def test_a_file_that_changed_is_another_job() -> None:
    job = Job(video=Path("talk.mp4"), audio=AUDIO)  # type: ignore[arg-type]
    first = default_key(job, "sync", {"talk.mp4": STAMP})
    later = FileStamp(STAMP.path, STAMP.size, STAMP.mtime + 1)
    assert first != default_key(job, "sync", {"talk.mp4": later})
    assert first != default_key(job, "sync")


def test_a_url_is_never_taken_for_a_file() -> None:
    assert default_key(Job(video=VIDEO, audio=AUDIO), "sync", {VIDEO: STAMP}) == key()


SAFE = 2**53 - 1
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-SAFE, max_value=SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=30,
)


@given(json_values)
def test_the_canonical_form_is_that_of_rfc_8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_spelled_as_in_rfc_8785(value: float) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"0"),
        (1.0, b"1"),
        (1e21, b"1e+21"),
        (1e20, b"100000000000000000000"),
        (1e-6, b"0.000001"),
        (1e-7, b"1e-7"),
        (123456789012345680000.0, b"123456789012345680000"),
        (1.5e300, b"1.5e+300"),
        (5e-324, b"5e-324"),
        (-2.5, b"-2.5"),
        (2**63, b"9223372036854775808"),
        ({"\U0001f600": 1, "\ufb33": 2}, '{"\U0001f600":1,"\ufb33":2}'.encode()),
        ((1, 2), b"[1,2]"),
    ],
)
def test_corner_cases_of_the_canonical_form(value: Any, text: bytes) -> None:
    assert canonical(value) == text


def _loop() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, "\ud800", {"\ud800": 1}, b"x", {1: 2}, {"a": {None: 1}}, object(), _loop()]
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(JobInvalid):
        canonical({"x": value})
