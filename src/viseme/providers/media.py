"""Local files on their way to a vendor: presigned uploads, and files that go with the create itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import asdict, evolve, frozen

from viseme.attempts import Handle
from viseme.failures import Kind
from viseme.providers.base import Fault, FilePart, Flow, Outcome, Refused, Request, Role, Verdict, retry_after
from viseme.providers.reading import http_link

__all__ = ["Slot", "deliver", "file_handle", "file_of", "slot", "stored"]

_PASSING = frozenset({408, 425, 429})


@frozen(kw_only=True)
class Slot:
    """A place in a vendor's storage: the link to put a file to, and the one that the file then has.

    Attributes:
        lifetime: seconds that the vendor keeps the file, None where it does not say.
    """

    link: str
    url: str
    lifetime: float | None = None


def slot(vendor: str, link: object, url: object, lifetime: float | None = None) -> Slot:
    """The slot that a vendor named.

    Raises:
        Refused: it named none.
    """
    put_to, found_at = http_link(link), http_link(url)
    if put_to is None or found_at is None:
        raise Refused(Verdict(kind=Kind.PROTOCOL, message=f"{vendor} granted an upload without naming its links"))
    return Slot(link=put_to, url=found_at, lifetime=lifetime)


def deliver(grant: Callable[[], Flow[Slot]], file: FilePart) -> Flow[Slot]:
    """Have a slot granted and put the file there, with the very type it was granted for and without the key.

    A slot that takes nothing any more is asked for anew, once.
    """
    for last in (False, True):
        granted = yield from grant()
        try:
            yield Request(method="PUT", url=granted.link, role=Role.FOREIGN, classes=(), body=file)
        except Refused as refusal:
            if refusal.verdict.kind is not Kind.RESULT_EXPIRED:
                raise
            if last:
                raise Refused(evolve(refusal.verdict, kind=Kind.TRANSIENT)) from None
        else:
            return granted
    raise AssertionError("the second time decides")


def stored(vendor: str, outcome: Outcome) -> Verdict | None:
    """What a storage's answer to a PUT means: any 2xx is done, and a link that it refuses is dead."""
    if isinstance(outcome, Fault):
        message = f"no reply from {vendor}'s storage: {outcome.message}"
        return Verdict(kind=Kind.TRANSIENT, message=message, blame="network")
    status = outcome.status
    if 200 <= status < 300:
        if "text/html" not in outcome.headers.get("content-type", "").lower():
            return None
        return Verdict(kind=Kind.TRANSIENT, message=f"{vendor}'s storage answered an upload with a web page")
    if status == 413:
        message = f"{vendor}'s storage refuses the file as too large (HTTP 413); make it smaller"
        return Verdict(kind=Kind.INVALID, message=message, blame="job")
    if status >= 500 or status in _PASSING:
        message = f"{vendor}'s storage is in trouble (HTTP {status})"
        return Verdict(kind=Kind.TRANSIENT, message=message, retry_after=retry_after(outcome))
    message = f"{vendor}'s storage refused the upload (HTTP {status}); viseme asks for another link"
    return Verdict(kind=Kind.RESULT_EXPIRED, message=message)


def file_handle(file: FilePart) -> Handle:
    """A file that goes with the create itself, as a handle."""
    return {"file": asdict(file)}


def file_of(handle: Handle | None) -> FilePart | None:
    """The file that a handle stands for; None where it stands for something that the vendor has already."""
    known: Any = None if handle is None else handle.get("file")
    return None if known is None else FilePart(**known)
