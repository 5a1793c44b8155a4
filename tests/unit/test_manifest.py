"""Manifests: whatever stands in them, each row is a job or a sentence about what is wrong with it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from viseme.codec import dumps
from viseme.jobs import FIELDS, Job
from viseme.manifest import Row, read_csv, read_jsonl

VIDEO, AUDIO = "https://m.example/v.mp4", "https://m.example/a.wav"
GOOD = {"video": VIDEO, "audio": AUDIO}


def jsonl(*rows: object) -> list[str]:
    return [row if isinstance(row, str) else json.dumps(row) for row in rows]


def one(row: object) -> Row:
    (found,) = read_jsonl(jsonl(row))
    return found


def problem(row: object) -> str:
    found = one(row)
    assert found.job is None
    assert found.problem
    return found.problem


def table(*rows: list[str], header: str = "video,audio,options,metadata,priority,key") -> list[Row]:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    for row in rows:
        writer.writerow(row)
    return list(read_csv([header + "\r\n", *file.getvalue().splitlines(keepends=True)]))


def sound(rows: list[Row]) -> None:
    """Each row is a job that the ledger can write down, or a sentence."""
    for row in rows:
        assert (row.job is None) != (row.problem is None)
        assert row.line >= 1
        if row.job is not None:
            dumps({**row.job.options, **row.job.metadata})
            assert type(row.job.priority) is int
        if row.problem is not None:
            assert row.problem
            assert len(row.problem) < 1000


# -- lines of JSON -------------------------------------------------------------------------------------------------


def test_a_line_is_a_job_with_every_field_of_one() -> None:
    full = {
        **GOOD, "account": "a", "model": "m", "options": {"fps": 25}, "key": "k", "output": "x/y.mp4",
        "priority": 3, "metadata": {"a": [1]},
    }  # fmt: skip
    row = one(full)
    assert row == Row(1, job=Job(**full))


def test_blank_lines_and_byte_order_marks_are_passed_over_and_lines_keep_their_numbers() -> None:
    lines: list[str | bytes] = [b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "\n", "   ", "\ufeff" + json.dumps(GOOD)]
    assert [(row.line, row.job is not None) for row in read_jsonl(lines)] == [(1, True), (4, True)]


def test_a_bad_row_stops_nothing() -> None:
    rows = list(read_jsonl([b"\xff\xfe", "{", *jsonl(GOOD), "[]", *jsonl(GOOD)]))
    assert [row.job is not None for row in rows] == [False, False, True, False, True]
    sound(rows)


def test_reading_is_lazy() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield json.dumps(GOOD)

    rows = read_jsonl(endless())
    assert next(rows).line == 1
    assert next(rows).line == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("nonsense", "not JSON"),
        ("[1, 2]", "JSON object"),
        ('"text"', "JSON object"),
        ("NaN", "not JSON"),
        ('{"video": "x", "options": {"a": NaN}}', "not JSON"),
        ('{"options": {"a": 1e999}}', "options"),
        ("[" * 100_000, "JSON"),
        ('{"a":' * 100_000, "JSON"),
        ('{"priority": ' + "1" * 5000 + "}", "JSON"),
        ({**GOOD, "wideo": "x"}, "'wideo'"),
        ({**GOOD, "text": "also"}, "exclude"),
        ({**GOOD, "priority": "high"}, "priority"),
        ({**GOOD, "priority": True}, "priority"),
        ({**GOOD, "priority": 1.5}, "priority"),
        ({**GOOD, "options": "fps=25"}, "options"),
        ({**GOOD, "metadata": [1]}, "metadata"),
        ('{"metadata": {"a": [-1e999]}}', "metadata"),
        ({**GOOD, "video": 7}, "text"),
        ({**GOOD, "video": "ftp://h/v"}, "scheme"),
        ({**GOOD, "video": "https://[::1/v"}, "URL"),
        ({**GOOD, "output": "../up.mp4"}, "output"),
        ({**GOOD, "output": "/etc/passwd"}, "output"),
        ({**GOOD, "output": "results.jsonl"}, "output"),
        ('{"video": "\\ud800", "audio": "x"}', "Unicode"),
        ('{"video": "x", "audio": "y", "metadata": {"\\ud800": 1}}', "metadata"),
    ],
)
def test_what_is_wrong_is_said_in_a_short_sentence(row: object, said: str) -> None:
    words = problem(row)
    assert said in words
    assert len(words) < 500
    assert words.isprintable()


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    assert ", ".join(FIELDS) in problem({**GOOD, "x": 1})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
VALUES = JSON | st.sampled_from([VIDEO, AUDIO, "local.mp4", "\ud800", "x" * 300, "C:\\x", "//h/x", "http://", "a\nb"])
ROWS = st.dictionaries(st.sampled_from([*FIELDS, "other", ""]), VALUES, max_size=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROWS.map(json.dumps) | st.text(max_size=60) | st.binary(max_size=60), max_size=6))
def test_any_lines_are_jobs_or_sentences(lines: list[str | bytes]) -> None:
    rows = list(read_jsonl(lines))
    sound(rows)
    assert [row.line for row in rows] == sorted({row.line for row in rows})


# -- tables --------------------------------------------------------------------------------------------------------


def test_a_row_of_a_table_is_a_job_and_empty_cells_stand_for_nothing() -> None:
    first, second = table([VIDEO, AUDIO, '{"fps": 25}', '{"a": "b, c"}', "3", "k"], [VIDEO, AUDIO, "", "", "", ""])
    wanted = Job(video=VIDEO, audio=AUDIO, options={"fps": 25}, metadata={"a": "b, c"}, priority=3, key="k")
    assert first == Row(2, job=wanted)
    assert second == Row(3, job=Job(video=VIDEO, audio=AUDIO))


def test_a_row_that_ends_early_stands_for_empty_cells() -> None:
    (row,) = table([VIDEO, AUDIO])
    assert row.job == Job(video=VIDEO, audio=AUDIO)


def test_a_byte_order_mark_before_the_header_is_passed_over() -> None:
    (row,) = read_csv(["\ufeffvideo,audio\n", f"{VIDEO},{AUDIO}\n"])
    assert row.job is not None


def test_an_empty_table_has_no_rows() -> None:
    assert list(read_csv([])) == []
    assert list(read_csv(["video,audio\n"])) == []


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([VIDEO, AUDIO, "{", "", "", ""], "not JSON"),
        ([VIDEO, AUDIO, "[1]", "", "", ""], "JSON object"),
        ([VIDEO, AUDIO, "", "", "high", ""], "priority"),
        ([VIDEO, AUDIO, "", "", "1" * 5000, ""], "priority"),
        ([VIDEO, AUDIO, "", "", "", "k", "more"], "more cells"),
        (["ftp://h/v", AUDIO], "scheme"),
    ],
)
def test_what_is_wrong_with_a_row_of_a_table_is_said(cells: list[str], said: str) -> None:
    bad, good = table(cells, [VIDEO, AUDIO])
    assert said in (bad.problem or "")
    assert good.job is not None


@pytest.mark.parametrize("header", ["video,wideo", "video,", '"video'])
def test_a_header_that_makes_no_sense_is_the_whole_answer(header: str) -> None:
    rows = list(read_csv([header + "\n", f"{VIDEO},{AUDIO}\n"]))
    assert len(rows) == 1
    assert rows[0].line == 1
    assert rows[0].problem


def test_a_column_that_is_named_twice_is_refused() -> None:
    rows = list(read_csv(["video,audio,video\n", f"{VIDEO},{AUDIO},{VIDEO}2\n"]))
    assert [row.job for row in rows] == [None]
    assert "'video'" in (rows[0].problem or "")


@pytest.mark.parametrize("more", ['"video": "x.mp4"', '"options": {"a": 1, "a": 2}', '"audio": ""'])
def test_a_field_that_is_named_twice_is_refused(more: str) -> None:
    (row,) = read_jsonl([f'{{"video": "{VIDEO}", "audio": "{AUDIO}", {more}}}'])
    assert row.job is None
    assert "is there twice" in (row.problem or "")


def test_a_row_that_cannot_be_read_ends_the_reading_with_a_sentence() -> None:
    rows = list(read_csv(["video,audio\n", f"{VIDEO},{AUDIO}\n", f'"{VIDEO}"x,{AUDIO}\n', f"{VIDEO},{AUDIO}\n"]))
    assert [row.job is not None for row in rows] == [True, False]
    assert "cannot be read" in (rows[1].problem or "")


def test_bytes_that_are_no_text_end_a_table_with_a_sentence() -> None:
    def lines(*before: str) -> Iterator[str]:
        yield from before
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    assert "header" in (next(iter(read_csv(lines()))).problem or "")
    rows = list(read_csv(lines("video,audio\n", f"{VIDEO},{AUDIO}\n")))
    assert [row.job is not None for row in rows] == [True, False]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*FIELDS, "other", ""]), max_size=5),
    st.lists(
        st.lists(st.text(max_size=15) | st.sampled_from([VIDEO, AUDIO, "{}", '{"a": 1}', "7"]), max_size=6), max_size=5
    ),
    st.lists(st.text(max_size=30), max_size=2),
)
def test_any_table_is_jobs_or_sentences(header: list[str], cells: list[list[str]], raw: list[str]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(header)
    for row in cells:
        writer.writerow(row)
    sound(list(read_csv([*file.getvalue().splitlines(keepends=True), *raw])))


def test_lines_and_tables_say_the_same() -> None:
    given: dict[str, Any] = {**GOOD, "options": {"fps": 25}, "priority": 2, "key": "k"}
    (row,) = table([VIDEO, AUDIO, '{"fps": 25}', "", "2", "k"])
    assert row.job == one(given).job
