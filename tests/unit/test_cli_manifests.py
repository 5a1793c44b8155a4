"""Manifests on their way to the engine: local paths, outputs, what cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from viseme.cli.guard import Unusable
from viseme.cli.manifests import open_manifest
from viseme.errors import ManifestError
from viseme.manifest import Row


def read(path: Path) -> list[Row]:
    manifest = open_manifest(str(path))
    with manifest.files:
        assert isinstance(manifest.rows, Iterable)
        return list(manifest.rows)


def write(folder: Path, *lines: str, name: str = "jobs.jsonl") -> Path:
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder / name


def test_local_paths_are_relative_to_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    write(tmp_path, '{"video": "clips/a.mp4", "audio": "https://host/a.wav"}')
    (row,) = read(Path("..") / "jobs.jsonl")
    assert row.job is not None
    assert row.job.video == os.path.join(tmp_path, "clips", "a.mp4")
    assert row.job.audio == "https://host/a.wav"


def test_one_output_belongs_to_one_job(tmp_path: Path) -> None:
    job = '"video": "https://a/b", "audio": "https://a/c"'
    rows = read(
        write(
            tmp_path,
            f'{{{job}, "output": "x/a.mp4"}}',
            f'{{{job}, "output": "x/./a.mp4"}}',
            f'{{{job}, "output": "x/a.mp4", "model": "m"}}',
            f'{{{job}, "key": "b", "output": "c.mp4"}}',
            f'{{{job}, "key": "c"}}',
        )
    )
    assert rows[0].problem is None
    assert rows[2].problem == "output 'x/a.mp4' is that of line 1 already; give one of them another"
    assert rows[4].problem == "output 'c.mp4' is that of line 4 already; give one of them another"


def test_the_same_row_twice_is_the_same_job_and_no_clash(tmp_path: Path) -> None:
    line = '{"video": "https://a/b", "audio": "https://a/c", "output": "x.mp4"}'
    assert [row.problem for row in read(write(tmp_path, line, line))] == [None, None]


def test_a_cell_that_is_not_utf8_spoils_its_row_and_no_other(tmp_path: Path) -> None:
    rows = [b"video,audio", b"https://a/caf\xe9,https://a/b", b"https://a/b,https://a/c"]
    (tmp_path / "jobs.csv").write_bytes(b"\n".join(rows))
    found = read(tmp_path / "jobs.csv")
    assert [row.line for row in found] == [2, 3]
    assert found[0].problem is not None
    assert "is not Unicode" in found[0].problem
    assert found[1].job is not None


def test_a_header_that_is_not_utf8_spoils_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_bytes("video,audio\n".encode("utf-16"))
    with pytest.raises(ManifestError, match="line 1: this is not UTF-8 text; save it as UTF-8"):
        read(tmp_path / "jobs.csv")


@pytest.mark.parametrize("name", ["jobs.JSONL", "jobs.Csv"])
def test_the_kind_is_read_whatever_its_case(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    assert read(tmp_path / name) == []


@pytest.mark.parametrize("name", ["jobs.json", "jobs", "jsonl", "x" * 300 + ".txt"])
def test_other_kinds_are_refused_in_a_short_sentence(name: str) -> None:
    with pytest.raises(Unusable, match="is not a manifest that viseme reads") as refused:
        open_manifest(name)
    assert len(str(refused.value)) < 400
