"""A server of files in a process of its own, which hands them from the page cache to the socket (sendfile)."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

__all__ = ["film", "serve", "served"]

_ROOT = Path(__file__).parents[2]
_BLOCK = 1 << 20


def film(path: Path, size: int) -> str:
    """Make a file of so many bytes that is an MP4 by its boxes; returns its SHA-256."""
    noise = random.Random(size).randbytes(_BLOCK)
    head = _box(b"ftyp", b"isom\0\0\0\0isom") + _box(b"moov", b"")
    head += (1).to_bytes(4) + b"mdat" + (size - len(head)).to_bytes(8)
    digest, left = sha256(), size
    with path.open("wb") as file:
        for piece in (head, *[noise] * (size // _BLOCK + 1)):
            piece = piece[:left]
            left -= len(piece)
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _box(kind: bytes, data: bytes) -> bytes:
    return (len(data) + 8).to_bytes(4) + kind + data


@contextmanager
def served(folder: Path) -> Generator[str]:
    """The address under which a folder's files can be fetched."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"from benchmarks.downloads.serving import serve; serve({str(folder)!r})"],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# -- inside the process ----------------------------------------------------------------------------------------------


def serve(folder: str) -> None:
    """Print the address, and serve until the process is killed."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_converse, args=(connection, folder), daemon=True).start()


def _converse(connection: socket.socket, folder: str) -> None:
    """Answer one client's requests, one after the other."""
    with connection, connection.makefile("rb") as requests:
        while first := requests.readline():
            while requests.readline().strip():
                pass
            try:
                _send(connection, os.path.join(folder, os.path.basename(first.split()[1].decode())))
            except ConnectionError:
                return


def _send(connection: socket.socket, path: str) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(file).st_size
        head = "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nAccept-Ranges: bytes\r\n"
        connection.sendall(f'{head}ETag: "{os.path.basename(path)}"\r\nContent-Length: {size}\r\n\r\n'.encode())
        at = 0
        while at < size:
            at += os.sendfile(connection.fileno(), file, at, min(size - at, _BLOCK))
    finally:
        os.close(file)
