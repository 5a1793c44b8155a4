"""Disks that are soon full, or may not be written: file systems where they may be mounted, or a process that may write
no large file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["capped", "grow", "small_disk", "unwritable"]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of so many bytes, as mount has it (`200k`). Skips the test where it cannot be mounted."""
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("mounting takes privileges that this process lacks")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def grow(folder: Path, size: str) -> None:
    """Make room on it."""
    assert _mount("-o", f"remount,size={size}", folder)


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """A folder in which nothing can be written, by root neither, to whom modes are no bar."""
    if os.geteuid():
        mode = folder.stat().st_mode
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(mode)
        return
    if not (_mount("--bind", folder, folder) and _mount("-o", "remount,ro,bind", folder)):
        pytest.skip("mounting takes privileges that this process lacks")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _mount(*arguments: str | Path) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0
    except OSError:
        return False


def capped(program: list[str], blocks: int) -> list[str]:
    """A program that may write no file beyond so many blocks of 512 bytes (of 1024 where bash is sh).

    Further writes fail, for whoever runs it; Python ignores the signal that comes with it.
    """
    return ["sh", "-c", f'ulimit -f {blocks}; exec "$0" "$@"', *program]
