"""The requests that are sent to Rask. Source: fact sheet section 2."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from viseme.providers.base import FilePart, Multipart, Request, Role, look_at
from viseme.providers.rask.settings import RaskSettings
from viseme.providers.reading import encode

__all__ = ["PAGE", "Calls"]

PAGE = 100
_LIBRARY = "/api/library/v1/media"
_CREATE = ("create", "post", "all")
_UPLOAD = ("upload", "post", "all")


@frozen
class Calls:
    """Every request of the adapter, by the account's base URL and settings."""

    base: str
    settings: RaskSettings

    # -- looking -----------------------------------------------------------------------------------------------------

    def _read(self, path: str) -> Request:
        return look_at(self.base + path)

    def credits(self) -> Request:
        """The account's minutes."""
        return self._read("/v2/credits")

    def media(self, id: str) -> Request:
        """A medium of the library."""
        return self._read(f"{_LIBRARY}/{encode(id)}")

    def project(self, id: str) -> Request:
        """A project."""
        return self._read(f"/v2/projects/{encode(id)}")

    def projects(self, name: str, offset: int) -> Request:
        """A page of the projects whose names match."""
        return self._read(f"/v2/projects?name={encode(name)}&offset={offset}&limit={PAGE}")

    def transcription(self, id: str) -> Request:
        """A project's segments."""
        return self._read(f"/v2/projects/{encode(id)}/transcription")

    def lipsync(self, id: str) -> Request:
        """What there is of face check and lip-sync."""
        return self._read(self.settings.lipsync_path.format(id=encode(id)))

    # -- handing over ------------------------------------------------------------------------------------------------

    def send(self, file: FilePart) -> Request:
        """Upload a file into the library."""
        return Request(
            method="POST",
            url=f"{self.base}{_LIBRARY}?kind=video",
            role=Role.UPLOAD,
            classes=_UPLOAD,
            body=Multipart((("name", file.name), (self.settings.media_part_name, file))),
        )

    def link(self, url: str) -> Request:
        """Have the library fetch a link."""
        return Request(
            method="POST",
            url=f"{self.base}{_LIBRARY}/link",
            role=Role.UPLOAD,
            classes=_UPLOAD,
            json={"link": url, "kind": "video"},
        )

    # -- paying ------------------------------------------------------------------------------------------------------

    def create(self, body: dict[str, Any]) -> Request:
        """Make a project; its dub begins by itself."""
        return Request(method="POST", url=f"{self.base}/v2/projects", role=Role.PAID, classes=_CREATE, json=body)

    def generate(self, id: str) -> Request:
        """Dub a project again."""
        url = f"{self.base}/v2/projects/{encode(id)}/generate"
        return Request(method="POST", url=url, role=Role.PAID, classes=_CREATE)

    def run(self, id: str, *, several: bool, free: bool, claim: str) -> Request:
        """Start a lip-sync. Both flags always go along, as JSON booleans (sheet section 10)."""
        return Request(
            method="PUT",
            url=self.base + self.settings.lipsync_path.format(id=encode(id)),
            role=Role.PAID,
            classes=("create", "all"),
            json={"is_multiple_speakers": several, "is_free_lipsync": free},
            claim=claim,
        )

    def check_face(self, id: str) -> Request:
        """Begin the face check by hand."""
        return Request(method="PUT", url=self.base + self.settings.check_face_path.format(id=encode(id)))
