"""Jobs: what they may hold, and the names of their results."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.errors import JobInvalid
from viseme.jobs import FIELDS, Job, encode_key, is_url, output_name, plain_host
from viseme.providers.jogg import JoggOptions
from viseme.providers.sync import SyncOptions

VIDEO = "https://media.example/talk.mp4"
AUDIO = "https://media.example/speech.wav"


def job(**given: Any) -> Job:
    return Job(**{"video": VIDEO, "audio": AUDIO, **given})


def test_a_job_holds_what_it_is_given() -> None:
    full = job(
        account="sync", model="sync-3", options={"a": [1]}, key="k", output="a/b.mp4", priority=3, metadata={"n": None}
    )
    assert full.sources == (VIDEO, AUDIO)
    assert full.options == {"a": [1]}
    assert full.metadata == {"n": None}
    assert full.priority == 3


def test_empty_fields_are_no_fields() -> None:
    assert Job(video="", audio="", text="", options=None, metadata=None) == Job()  # type: ignore[arg-type]


def test_paths_may_be_path_objects() -> None:
    assert job(video=Path("talk.mp4")).video == "talk.mp4"


def test_options_are_copied_so_that_the_job_stays_as_it_is() -> None:
    options: dict[str, Any] = {"a": 1, "segments": [{"start": 0}], "size": ([1], 2)}
    made = job(options=options, metadata=options)
    options["a"] = 2
    options["segments"][0]["start"] = 5
    options["size"][0].append(2)
    assert made.options == made.metadata == {"a": 1, "segments": [{"start": 0}], "size": ([1], 2)}


def test_typed_options_leave_out_what_is_not_given() -> None:
    assert job(options=JoggOptions()).options == {}
    assert job(options=JoggOptions(playback_type="normal")).options == {"playback_type": "normal"}
    assert job(options=SyncOptions(temperature=0.5)).options == {"temperature": 0.5}


def test_the_fields_are_those_of_a_manifest() -> None:
    assert FIELDS == (
        "video",
        "image",
        "audio",
        "text",
        "voice",
        "language",
        "source_language",
        "account",
        "model",
        "options",
        "key",
        "output",
        "priority",
        "metadata",
    )


@pytest.mark.parametrize(
    ("given_", "field", "words"),
    [
        ({"image": VIDEO}, "image", "video and image exclude each other"),
        ({"text": "x", "voice": "v"}, "text", "audio and text exclude each other"),
        ({"language": "de"}, "language", "audio and language exclude each other"),
        ({"audio": None, "text": "x", "language": "de"}, "language", "text and language exclude each other"),
        ({"voice": "v"}, "voice", "voice goes with text"),
        ({"source_language": "en"}, "source_language", "goes with language"),
        ({"video": 5}, None, "5 is not text"),
        ({"key": "\ud800"}, None, "not Unicode"),
        ({"options": [1]}, "options", "options must be an object"),
        ({"options": {"a": object()}}, "options", "options must be JSON"),
        ({"options": {"a": "\ud800"}}, "options", "options must be JSON"),
        ({"metadata": "x"}, "metadata", "metadata must be an object"),
        ({"metadata": {"a": {1, 2}}}, "metadata", "metadata must be JSON"),
        ({"metadata": {"a": 1 << 64}}, "metadata", "has more than 64 bits; write it as text"),
        ({"metadata": {"a": [-(1 << 63) - 1]}}, "metadata", "has more than 64 bits"),
        ({"metadata": {"a": {1: 2}}}, "metadata", "the name 1 is not text"),
        ({"metadata": {"a": {"\ud800": 2}}}, "metadata", "metadata must be JSON"),
        ({"options": {"a": float("nan")}}, "options", "nan is no number of JSON"),
        ({"priority": "high"}, "priority", "whole number, not high"),
        ({"priority": True}, "priority", "whole number, not True"),
        ({"priority": 1.5}, "priority", "whole number"),
        ({"video": "ftp://x/y"}, "video", "scheme 'ftp'"),
        ({"audio": "data:audio/wav;base64,AAAA"}, "audio", "scheme 'data'"),
        ({"audio": "file:///etc/passwd"}, "audio", "scheme 'file'"),
        ({"video": "https://"}, "video", "names no host"),
        ({"video": "https:///x"}, "video", "names no host"),
        ({"video": "https://[x/y"}, "video", "is not a URL"),
        ({"video": "https://x:port/y"}, "video", "is not a URL"),
        ({"video": "https://x/a b"}, "video", "white space"),
        ({"video": "https://x/a\nb"}, "video", "white space"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(given_: dict[str, Any], field: str | None, words: str) -> None:
    with pytest.raises(JobInvalid, match=words) as caught:
        job(**given_)
    assert caught.value.field == field


def test_a_message_quotes_no_more_than_it_has_to() -> None:
    with pytest.raises(JobInvalid) as caught:
        job(video="ftp://" + "x" * 10_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "output",
    ["../x.mp4", "a/../../x", "/etc/x", "C:\\x", "c:x", "a\\..\\..\\x", "..", ".", "", "a\nb", "a\x00b", "x" * 201],
)
def test_an_output_that_leaves_the_folder_is_refused(output: str) -> None:
    if output == "":
        assert job(output=output).output is None
        return
    with pytest.raises(JobInvalid) as caught:
        job(output=output)
    assert caught.value.field == "output"


@pytest.mark.parametrize("output", ["x.mp4.part", "results.jsonl", "viseme.db", "a/b.part"])
def test_an_output_may_not_take_names_that_are_in_use(output: str) -> None:
    with pytest.raises(JobInvalid, match="uses itself"):
        job(output=output)


@pytest.mark.parametrize(
    ("key", "output", "name"),
    [
        ("talk-01_a.b", None, "talk-01_a.b.mp4"),
        ("x", "sub/dir/talk.mov", "sub/dir/talk.mov"),
        ("x", "sub\\talk.mov", "sub/talk.mov"),
        ("a/b", None, "a%2Fb.mp4"),
        ("../x", None, "..%2Fx.mp4"),
        ("..", None, "%2E%2E.mp4"),
        ("a b", None, "a%20b.mp4"),
        ("ü", None, "%C3%BC.mp4"),
        ("%41", None, "%2541.mp4"),
        ("x" * 100, None, "x" * 100 + ".mp4"),
        ("x" * 101, None, "x" * 101 + ".mp4"),
    ],
)
def test_a_result_is_named_after_its_key(key: str, output: str | None, name: str) -> None:
    assert output_name(key, output) == name


def test_a_key_that_is_too_long_for_a_file_name_is_cut_and_stays_its_own() -> None:
    one, other = encode_key("ü" * 200), encode_key("ü" * 199 + "a")
    assert one != other
    assert len(one) == len(other) == 193


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_a_key_is_one_safe_file_name_and_two_keys_are_two(key: str, other: str) -> None:
    name = output_name(key, None)
    assert PurePosixPath(name).name == name
    assert name.isascii()
    assert "\x00" not in name
    assert len(name) <= 204
    assert (name == output_name(other, None)) == (key == other)


@pytest.mark.parametrize(
    ("source", "url"),
    [("https://x/y", True), ("ftp://x", True), ("talk.mp4", False), ("C:\\talk.mp4", False), ("/a:b", False)],
)
def test_a_url_has_a_scheme(source: str, url: bool) -> None:
    assert is_url(source) is url


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://Media.example/talk.mp4?a=b#c", "media.example"),
        ("HTTP://10.0.0.1:8080", "10.0.0.1"),
        ("http://10.0.0.1:59999/talk.mp4", "10.0.0.1"),
        ("http://10.0.0.1:65536/talk.mp4", None),
        ("https://user@media.example/", None),
        ("https://[::1]/", None),
        ("https://media.example:99999/", None),
        ("https://media.example/a b", None),
        ("http\u017f://media.example/", None),
        ("https:///talk.mp4", None),
        ("ftp://media.example/", None),
        ("talk.mp4", None),
    ],
)
def test_a_url_of_the_usual_form_names_its_host_at_once(text: str, host: str | None) -> None:
    assert plain_host(text) == host


@given(st.from_regex(r"(?i)https?://[a-z0-9.:@\[\]%/?# -]{0,12}(\Z|[ -~\u00e4\u017f\n]{0,5}\Z)"))
def test_what_is_of_the_usual_form_stands_the_closer_look_too(text: str) -> None:
    host = plain_host(text)
    if host is not None:
        parts = urlsplit(text)
        assert (parts.hostname, parts.scheme in ("http", "https"), parts.username) == (host, True, None)
        assert parts.port is None or parts.port < 65536
