"""What a user asks for: a video, some speech, options, and a key that stays."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen

from viseme.errors import JobInvalid
from viseme.plain import DEEPEST, TooDeep, plain
from viseme.wording import quote

__all__ = [
    "FIELDS",
    "Job",
    "cover_name",
    "is_own",
    "is_run_file",
    "is_url",
    "output_name",
    "plain_host",
    "preview_name",
]

_PLAIN_URL = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([A-Za-z0-9.-]+)(?::(?:[0-9]{1,4}|[1-5][0-9]{4}))?(?:[/?#][!-~]*)?")
"""Says itself which letters it takes large and small: a pattern that ignores it takes twice as long (0.6 µs a URL)."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_UNICODE = re.compile(r"[^\ud800-\udfff]*")
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_OWN = re.compile(r".*\.part(\.tag)?|results\.jsonl", re.IGNORECASE | re.DOTALL)
_DEVICE = re.compile(
    r"(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])\s*(\..*)?", re.IGNORECASE
)
_LONGEST, _LONGEST_PART = 800, 200
_PLAIN_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")


def is_url(source: str) -> bool:
    """Whether a media source is a URL (of any scheme) and not a local path."""
    return source.startswith(("http://", "https://")) or _SCHEME.match(source) is not None


def plain_host(text: str) -> str | None:
    """The host of an http(s) URL of the usual form, which needs no further look (0.6 against 4 µs).

    None where it is of another form: it may be good all the same.
    """
    match = _PLAIN_URL.fullmatch(text)
    return None if match is None else match[1].lower()


def _text(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        if isinstance(value, os.PathLike):
            return os.fsdecode(value)  # type: ignore[arg-type]
        raise JobInvalid(f"{quote(value)} is not text; every field of a job but options, metadata and priority is")
    if not value.isascii() and not _UNICODE.fullmatch(value):
        raise JobInvalid(f"{quote(value)!r} is not Unicode (it holds a lone surrogate)")
    return value or None


def _route(value: object) -> str | tuple[str, ...] | None:
    """An account's name, or several in the order in which they are tried; text may name them with commas."""
    if value is None:
        return None
    several = value.split(",") if isinstance(value, str) and value else value
    if not isinstance(several, (list, tuple)):
        return _text(several)
    given: list[object] = list(several)  # pyright: ignore[reportUnknownArgumentType]
    names = [_text(name.strip() if isinstance(name, str) else name) for name in given]
    if not all(names) or len(set(names)) < len(names):
        wrong = "names an account twice" if all(names) else "names nothing"
        raise JobInvalid(f'account {quote(value)} {wrong}; write it as "sync", or ["sync", "jogg"]', field="account")
    return str(names[0]) if len(names) == 1 else tuple(map(str, names)) or None


def _object(value: object, name: str) -> dict[str, Any]:
    """A copy of a JSON object, refused where the ledger could not write it down."""
    if value is None:
        return {}
    if not isinstance(value, (dict, Mapping)):
        raise JobInvalid(f"{name} must be an object, not {quote(value)}", field=name)
    if not value:
        return {}
    try:
        return plain({str(key): item for key, item in value.items()})  # pyright: ignore
    except TooDeep:
        raise JobInvalid(f"{name} must not be nested more than {DEEPEST} deep", field=name) from None
    except (TypeError, ValueError) as error:
        raise JobInvalid(f"{name} must be JSON: {error}", field=name) from None


def _options(value: object) -> dict[str, Any]:
    kind = type(value)
    if kind is dict and not value:
        return {}
    if kind is not dict and attrs.has(kind):
        value = attrs.asdict(value, filter=lambda attribute, given: given != attribute.default)  # type: ignore[arg-type]
    return _object(value, "options")


def _metadata(value: object) -> dict[str, Any]:
    kind = type(value)
    return {} if kind is dict and not value else _object(value, "metadata")


@frozen(kw_only=True)
class Job:
    """One lip-sync job.

    Give one picture source (``video``, or ``image`` where the model takes one) and one speech: ``audio``, or ``text``
    with ``voice``, or a ``language`` that the vendor dubs into. Media are http(s) URLs or local paths.

    Attributes:
        account: the configured account that runs it, or several: the next one is tried when one is out of credit,
            refuses the input, or fails the job by its own fault. Default: the scheduler's.
        model: the vendor's model; default: the provider's.
        options: the provider's options, as a mapping or typed, as its module in ``viseme.providers`` has them
            (``sync.SyncOptions``, ``jogg.JoggOptions``, ``rask.RaskOptions``).
        key: the job's stable name; equal key and equal inputs are the same job, for ever. Default: a digest of the
            inputs.
        output: path of the result below the output folder; default ``<key>.mp4``.
        priority: higher goes first.
        metadata: yours; echoed in the result.
    """

    video: str | None = field(default=None, converter=_text)
    image: str | None = field(default=None, converter=_text)
    audio: str | None = field(default=None, converter=_text)
    text: str | None = field(default=None, converter=_text)
    voice: str | None = field(default=None, converter=_text)
    language: str | None = field(default=None, converter=_text)
    source_language: str | None = field(default=None, converter=_text)
    account: str | Sequence[str] | None = field(default=None, converter=_route)
    model: str | None = field(default=None, converter=_text)
    options: Mapping[str, Any] = field(factory=dict[str, Any], converter=_options)
    key: str | None = field(default=None, converter=_text)
    output: str | None = field(default=None, converter=_text)
    priority: int = 0
    metadata: Mapping[str, Any] = field(factory=dict[str, Any], converter=_metadata)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.priority, bool) or not isinstance(self.priority, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise JobInvalid(f"priority must be a whole number, not {quote(self.priority)}", field="priority")
        if self.video and self.image:
            raise JobInvalid("video and image exclude each other; give one of them", field="image")
        self._check_speech()
        for name in ("video", "image", "audio"):
            source = getattr(self, name)
            if source is not None and _PLAIN_URL.fullmatch(source) is None:
                _check_source(name, source)
        if self.output is not None:
            _check_output(self.output)

    def _check_speech(self) -> None:
        if (self.audio is not None) + (self.text is not None) + (self.language is not None) > 1:
            given = [name for name in ("audio", "text", "language") if getattr(self, name)]
            raise JobInvalid(f"{' and '.join(given)} exclude each other; give one speech", field=given[1])
        if self.voice and not self.text:
            raise JobInvalid("voice goes with text; add text, or leave voice out", field="voice")
        if self.source_language and not self.language and "project_id" not in self.options:
            raise JobInvalid(
                "source_language goes with language; add language, or leave it out", field="source_language"
            )

    @property
    def route(self) -> tuple[str, ...]:
        """The accounts that the job names, in order."""
        if self.account is None:
            return ()
        return (self.account,) if isinstance(self.account, str) else tuple(self.account)

    @property
    def sources(self) -> tuple[str, ...]:
        """The media that the job names, in the order picture, audio."""
        return tuple(filter(None, (self.video, self.image, self.audio)))


FIELDS = tuple(attribute.name for attribute in attrs.fields(Job))
"""The names that a manifest row may use."""


def _check_source(name: str, source: str) -> None:
    if "\0" in source:
        raise JobInvalid(f"{name} {quote(source)!r} holds a NUL character, which no path has", field=name)
    if not is_url(source):
        return
    try:
        parts = urlsplit(source)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise JobInvalid(f"{name} {quote(source)!r} is not a URL: {error}", field=name) from None
    if parts.scheme.lower() not in ("http", "https"):
        raise JobInvalid(
            f"{name} has the scheme {quote(parts.scheme)!r}; viseme takes http and https URLs, and local paths",
            field=name,
        )
    if not host:
        raise JobInvalid(f"{name} {quote(source)!r} names no host", field=name)
    if _BLANK.search(source):
        raise JobInvalid(f"{name} {quote(source)!r} holds white space; percent-encode it", field=name)


def _check_output(output: str) -> None:
    path = PurePosixPath(output.replace("\\", "/"))
    leaves = path.is_absolute() or ".." in path.parts or not path.name or re.match(r"[A-Za-z]:", output)
    if leaves:
        raise _no_output(output, "leaves the output folder; give a relative path inside it")
    if not output.isprintable():
        raise _no_output(output, "holds characters that cannot be seen; leave them out")
    if len(str(path).encode()) > _LONGEST or any(len(part.encode()) > _LONGEST_PART for part in path.parts):
        most = f"{_LONGEST} bytes in all and {_LONGEST_PART} between slashes"
        raise _no_output(output, f"is longer than every disk takes; give a path of up to {most}")
    if any(_DEVICE.fullmatch(part) or part.endswith((".", " ")) for part in path.parts):
        raise _no_output(output, "is no file name on Windows disks; choose another")
    if is_run_file(str(path)) or is_own("viseme.db", str(path)):
        raise _no_output(output, "is a name that viseme uses itself; choose another")


def _no_output(output: str, words: str) -> JobInvalid:
    return JobInvalid(f"output {quote(output)!r} {words}", field="output")


def is_run_file(name: str) -> bool:
    """Whether a path below the output folder is that of a file which runs write there beside results and ledger."""
    return _OWN.fullmatch(name) is not None


def is_own(ledger: str, name: str) -> bool:
    """Whether a name, however it is capitalized, is that of a ledger or of one of the files beside it."""
    return name.casefold() in _with_its_files(ledger)


@lru_cache(maxsize=8)  # each job's result is asked after (0.2 against 0.9 µs)
def _with_its_files(ledger: str) -> frozenset[str]:
    own = ledger.casefold()
    return frozenset((own, *(own + tail for tail in ("-wal", "-shm", "-journal", ".lock"))))


def output_name(key: str, output: str | None) -> str:
    """The result's path below the output folder: ``output`` as given, else the key with unusual characters encoded.

    Keys outside ``[A-Za-z0-9._-]{1,100}`` are percent-encoded, so no key can name another folder.
    """
    if output is not None:
        return str(PurePosixPath(output.replace("\\", "/")))
    return f"{encode_key(key)}.mp4"


def preview_name(name: str) -> str:
    """The path of a preview beside its result: ``talk.mp4`` has ``talk.preview.mp4``."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}.preview{path.suffix}"))


def cover_name(name: str) -> str:
    """The path of a cover beside its result: ``talk.mp4`` has ``talk.jpg``."""
    return f"{os.path.splitext(name)[0]}.jpg"


def encode_key(key: str) -> str:
    """A key as a file name: as it is, or percent-encoded where it holds anything outside ``[A-Za-z0-9._-]``.

    What would be longer than a file name may be is cut, and a digest of the whole key stands for the rest.
    """
    if _PLAIN_KEY.fullmatch(key) and key.strip("."):
        return key
    plain = "_-." if key.strip(".") else "_-"
    encoded = "".join(c if c.isascii() and (c.isalnum() or c in plain) else _percent(c) for c in key)
    if len(encoded) <= 200:
        return encoded
    return f"{encoded[:160]}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
