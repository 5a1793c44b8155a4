"""A vendor at which every job runs for hours, in a process of its own; ``GET /reads`` tells how often it was asked."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from attrs import define

from benchmarks.vendor import reply, serve

__all__ = ["Vendor"]


@define(eq=False)
class Vendor:
    """Knows every job, and that it runs."""

    reads: int = 0

    def answer(self, method: bytes, path: str, headers: dict[bytes, bytes]) -> bytes:
        """The reply to a request."""
        if path == "/reads":
            return reply(200, str(self.reads).encode())
        self.reads += 1
        if path.startswith("/v2/generations?"):
            names = parse_qs(urlsplit(path).query)["ids"][0].split(",")
            return reply(200, b"[" + b",".join(map(_told, names)) + b"]")
        return reply(200, _told(path.removeprefix("/v2/generate/").partition("?")[0]))


def _told(name: str) -> bytes:
    return (
        f'{{"id":"{name}","createdAt":"2026-01-01T00:00:00.000Z","model":"lipsync-2","status":"PROCESSING",'
        f'"input":[{{"type":"video","url":"https://media.example/film.mp4"}},'
        f'{{"type":"audio","url":"https://media.example/speech.wav"}}],'
        f'"options":{{"sync_mode":"loop"}},"outputUrl":null,"outputDuration":null,"error":null,"webhookUrl":null}}'
    ).encode()


if __name__ == "__main__":
    serve(lambda address: Vendor())
