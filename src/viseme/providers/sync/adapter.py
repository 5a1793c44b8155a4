"""Sync's lip-sync API v2. Source: the fact sheet, whose section is named at each fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from attrs import field, frozen

from viseme.attempts import Handle, Intent
from viseme.config import Account
from viseme.errors import JobInvalid
from viseme.evolving import evolve
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers.base import (
    Accepted,
    Credential,
    FilePart,
    Finding,
    Flow,
    Limits,
    Member,
    Model,
    Observation,
    Outcome,
    Price,
    Provider,
    Refused,
    Reply,
    Request,
    Role,
    Safety,
    Sheet,
    Uploaded,
    Verdict,
    look_at,
)
from viseme.providers.media import Slot, deliver, file_handle, file_of, slot, stored
from viseme.providers.reading import encode, entry, identifier, listing, number, said
from viseme.providers.sync import batch
from viseme.providers.sync.checks import check
from viseme.providers.sync.options import SyncOptions
from viseme.providers.sync.replies import observe, refusal
from viseme.providers.sync.wire import create_body, create_form
from viseme.providers.verdicts import of_another
from viseme.results import Cost
from viseme.units import Rate, Seconds, Size, duration, size
from viseme.wording import quote

__all__ = ["Sync", "SyncSettings"]

_KEPT = 7 * 24 * 3600.0
"""How long an upload is taken to be good where the vendor does not say (section 2.9: 604800 seen)."""
_DATED = "2026-10-10"
_FPS = 30.0
"""What the vendor's own estimate assumes (section 2.7)."""
_VIDEO = frozenset({"video"})
_SPEECH = frozenset({"audio", "text", "language"})
_FOREIGN = Role.FOREIGN
"""Under a name of its own: before Python 3.12 an enum is slow to tell its members, and each reply asks."""
_LARGEST = 5 * 1024**3
"""Bytes of one file (sections 2.2 and 2.9); a plan may take less."""
_LONGEST = 1800.0
"""Seconds that the widest published plan takes (section 4); which plan an account has is not known."""
_LIMITS: Mapping[str, Limits] = {
    "video": Limits(bytes=_LARGEST, seconds=_LONGEST, containers=frozenset({"mp4", "mov", "webm", "avi"}), sure=False),
    "audio": Limits(
        bytes=_LARGEST,
        seconds=_LONGEST,
        containers=frozenset({"wav", "mp3", "ogg", "flac", "mp4", "m4a", "aac", "asf"}),
        sure=False,
    ),
    "image": Limits(bytes=_LARGEST, containers=frozenset({"jpg", "png", "webp"})),
}
"""Formats that section 7 lists (pictures: section 2.1); it does not say that others are refused."""
_SHORT: Mapping[str, Limits] = {"video": Limits(bytes=_LARGEST, seconds=15.0), "audio": Limits(bytes=_LARGEST)}
"""react-1 takes 15 s of input (section 7)."""


def _model(
    name: str,
    frame: float,
    pace: float,
    pictures: frozenset[str] = _VIDEO,
    limits: Mapping[str, Limits] = _LIMITS,
) -> Model:
    """A model by its base price per output frame, which section 7 counts at 25 frames per second.

    The text is what ElevenLabs takes (section 2.1).
    """
    price = Price(amount=round(frame * 25, 6), unit="usd", per="second", usd_per_unit=1.0, dated=_DATED)
    return Model(
        name=name, pictures=pictures, speech=_SPEECH, price=price, lag=10.0, pace=pace, limits=limits, text=5000
    )


_MODELS = (
    # The first is the default: the vendor's recommended starting point (seed 003), and the cheaper of its two.
    # Paces are seed 003's where it states one; the sheet's section 7 has slower ones. Observation replaces them.
    _model("lipsync-2", 0.002, 1.0),
    _model("lipsync-2-pro", 0.00333, 1.5),
    _model("sync-3", 0.00534, 4.0, frozenset({"video", "image"})),
    _model("lipsync-1.9.0-beta", 0.001, 1 / 3),
    _model("react-1", 0.00667, 2.0, limits=_SHORT),
)


def _positive(_: object, attribute: Any, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name} must be longer than nothing")


@frozen(kw_only=True)
class SyncSettings:
    """What the vendor does not publish.

    Attributes:
        replay_lifetime: how long the vendor is trusted to remember an idempotency key (sheet section 5 has no figure).
        multipart_below: local files smaller than this, in bytes or as ``"512KiB"``, go with the create itself instead
            of being uploaded before (sheet section 2.2). 0, the default, for none: an upload is shared by all jobs that
            use the file, and a create that is sent again does not carry it again.
    """

    replay_lifetime: Seconds = field(default=24 * 3600.0, converter=duration, validator=_positive)
    multipart_below: Size = field(default=0, converter=size)


class Sync(Provider):
    """Sync's five models over ``/v2/generate``.

    A create carries an idempotency key, so one whose reply was lost is sent again with the same key and yields the
    same job (sheet section 5).
    """

    name = "sync"
    Options: ClassVar[type[Any]] = SyncOptions
    Settings: ClassVar[type[Any]] = SyncSettings
    settings: SyncSettings
    sheet = Sheet(
        base_url="https://api.sync.so",
        models={model.name: model for model in _MODELS},
        rates={"create": (Rate(100, 60.0),), "read": (Rate(600, 60.0),), "upload": (Rate(120, 60.0),)},
        concurrency=3,
        seat_ttl=6 * 3600.0,
        safety=Safety.REPLAY,
        bulk=100,
        hold=10.0,
        first=10.0,
        every=10.0,
        result_lifetime=7 * 24 * 3600.0,
        local_files=True,
        batch=batch.BATCH,
    )

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self.sheet = evolve(self.sheet, replay_lifetime=self.settings.replay_lifetime)
        self._create = Request(
            method="POST", url=f"{self.base}/v2/generate", role=Role.PAID, classes=("create", "post", "all")
        )

    def check(self, job: Job) -> None:
        super().check(job)
        model, options = self.model(job), self.options(job)
        check(job, model, options, known=model.name in self.sheet.models)
        for voice in options.audios:
            self.check_source("options.audios", voice.url)
        if options.active_speaker_detection is not None:
            self.check_source("options.bounding_boxes_url", options.active_speaker_detection.bounding_boxes_url)
        if options.webhook_url is not None:
            self._check_webhook(options.webhook_url)

    def cuts_speech(self, job: Job) -> str | None:
        if self.options(job).sync_mode == "cut_off":  # section 2.1
            return "sync_mode cut_off cuts the rest off; choose bounce, loop or remap to keep it"
        return None

    def _check_webhook(self, url: str) -> None:
        self.check_source("options.webhook_url", url)
        if not url.lower().startswith("https:") and not self.account.allow_private_hosts:
            raise JobInvalid(f"options: webhook_url {quote(url)!r} must be an https URL", field="options")

    def sign(self, request: Request, credential: Credential, now: float) -> Mapping[str, str]:
        return {"x-api-key": credential.value}

    # -- flows ---------------------------------------------------------------------------------------------------

    def upload(self, job: Job, name: str, source: FilePart | str) -> Flow[Uploaded]:
        """Put a local file into the vendor's storage and register it as an asset (section 2.9)."""
        if isinstance(source, str):
            return Uploaded(handle={"url": source})
        file = source
        together = self.account.mode == "batch"  # whose records hold no files
        if file.size < self.settings.multipart_below and not self.options(job).segments and not together:
            return Uploaded(handle=file_handle(file), lifetime=0.0)
        for last in (False, True):
            granted = yield from deliver(lambda: self._grant(file), file)
            try:
                asset = yield from self._register(name, granted.url)
            except Refused as refusal:
                # Its storage may say that it took what it did not (code uploaded_file_not_found).
                if last or refusal.verdict.kind is not Kind.MEDIA_UNREACHABLE:
                    raise
            else:
                return Uploaded(handle={"url": granted.url, "asset": asset}, lifetime=granted.lifetime)
        raise AssertionError("the second time decides")

    def _grant(self, file: FilePart) -> Flow[Slot]:
        reply = yield Request(
            method="POST",
            url=f"{self.base}/v2/assets/upload",
            role=Role.UPLOAD,
            classes=("upload", "post", "all"),
            json={"fileName": file.name, "contentType": file.content_type, "size": file.size},
        )
        found = reply.object()
        seconds = number(found.get("expiresIn"))
        lifetime = seconds if seconds is not None and seconds > 0 else _KEPT
        return slot(self.name, found.get("uploadUrl"), found.get("url"), lifetime)

    def _register(self, name: str, url: str) -> Flow[str | None]:
        """The asset's id; None where the vendor names none: then the link alone has to do, which it takes as well."""
        reply = yield Request(
            method="POST",
            url=f"{self.base}/v2/assets",
            role=Role.UPLOAD,
            classes=("post", "all"),
            json={"url": url, "type": name.upper()},
        )
        return identifier(reply.object().get("id"))

    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        body = create_body(job, intent.model or self.model(job).name, self.options(job), handles)
        form = create_form(body, handles)
        reply = yield evolve(
            self._create,
            headers={"idempotency-key": intent.key},
            json=body if form is None else None,
            body=form,
        )
        found = reply.object()
        name = identifier(found.get("id"))
        if name is None:
            raise Refused(self._without_id(found))
        return Accepted(handle={"id": name}, observation=observe(found, self.sheet.models))

    def create_many(self, members: Sequence[Member]) -> Flow[Mapping[str, Accepted]]:
        return (yield from batch.send(self.base, {member.intent.id: self._record(member) for member in members}))

    def batch_bytes(self, member: Member) -> int:
        if any(file_of(handle) is not None for handle in member.handles.values()):
            return batch.BATCH.bytes + 1  # its files can only go with a create of its own
        return len(self._record(member))

    def _record(self, member: Member) -> bytes:
        model = member.intent.model or self.model(member.job).name
        body = create_body(member.job, model, self.options(member.job), member.handles)
        return batch.record(member.intent, body)

    def reconcile(self, job: Job, intent: Intent, now: float = 0.0) -> Flow[Finding]:
        """Look for the job in the account's batches; a create of its own is settled by its key instead."""
        return (yield from batch.find(self.base, intent))

    def _without_id(self, found: Mapping[str, Any]) -> Verdict:
        words = quote(said(found) or "nothing that names it")
        return Verdict(
            kind=Kind.FATE_UNKNOWN,
            message=f"{self.name} answered the create without an id: {words}; the same key is asked again",
            charged=True,
        )

    def poll(self, handle: Handle, hold: float = 0.0, now: float = 0.0) -> Flow[Observation]:
        if "batch" in handle and "generation" not in handle:
            return (yield from self._look_in_batch(handle))
        name = str(handle.get("generation") or handle["id"])
        url, seconds = f"{self.base}/v2/generate/{encode(name)}?include=progress", 0
        if hold > 0:  # for 1 to 10 s, and then it cannot carry the progress (sheet section 2.3)
            seconds = max(1, min(10, int(hold)))
            url = f"{self.base}/v2/generate/{encode(name)}?wait=true&timeout={seconds}"
        reply = yield look_at(url, seconds)
        found = reply.object()
        if found.get("id") != name:
            of_another(name, identifier(found.get("id")), self.name)
        return observe(found, self.sheet.models, reply)

    def _look_in_batch(self, handle: Handle) -> Flow[Observation]:
        seen = yield from batch.look(self.base, str(handle["batch"]), [handle], self.sheet.models)
        return seen[str(handle["id"])]

    def poll_many(self, handles: Sequence[Handle]) -> Flow[Mapping[str, Observation]]:
        seen: dict[str, Observation] = {}
        members = [handle for handle in handles if "batch" in handle]
        for name in dict.fromkeys(str(handle["batch"]) for handle in members):
            its = [handle for handle in members if handle["batch"] == name]
            seen.update((yield from batch.look(self.base, name, its, self.sheet.models)))
        wanted = [str(handle["id"]) for handle in handles if "batch" not in handle]
        if not wanted:
            return seen
        url = f"{self.base}/v2/generations?ids={','.join(map(encode, wanted))}"
        reply = yield look_at(url)
        rows = listing(reply.json())
        if rows is None:
            raise Refused(Verdict(kind=Kind.PROTOCOL, message=f"{self.name} answered a list request without a list"))
        for row in rows:
            name = identifier(row.get("id"))
            if name in wanted and not (name in seen and seen[name].seen.terminal):  # an end stays one, if told twice
                seen[name] = observe(row, self.sheet.models)
        return seen

    def reckon(self, job: Job, seconds: float, fps: float | None = None) -> Cost | None:
        """Frames are what is billed: a published price per second is for 25 of them (section 7)."""
        price, known = self.price(job), self.model(job).price
        frames = (fps or _FPS) / 25 if price is known else 1.0
        return None if price is None else price.cost(seconds * max(1.0, frames))

    def estimate(self, job: Job, seconds: float, fps: float | None = None) -> Flow[Cost | None]:
        """The vendor's own estimate (sheet section 2.7), else the price table's; for 30 frames a second, or more."""
        model = self.model(job)
        body = {"model": model.name, "duration": seconds, **({"fps": fps} if fps is not None and fps > _FPS else {})}
        try:
            reply = yield Request(
                method="POST", url=f"{self.base}/v2/generations/estimate", classes=("post", "all"), json=body
            )
        except Refused as refused:
            if refused.verdict.kind not in (Kind.INVALID, Kind.NOT_FOUND):
                raise
            return self.reckon(job, seconds, fps)
        found = reply.json()
        usd = number(entry(found, "estimatedGenerationCost"))
        usd = number(entry(found, 0, "estimatedGenerationCost")) if usd is None else usd
        if usd is not None and usd >= 0:
            return Cost(amount=usd, unit="usd", usd=usd, estimated=True)
        return self.reckon(job, seconds, fps)

    # -- reading replies -----------------------------------------------------------------------------------------

    def verdict(self, request: Request, outcome: Outcome) -> Verdict | None:
        if request.headers and batch.is_lines(request):
            return batch.judge_lines(outcome)
        return stored(self.name, outcome) if request.role is _FOREIGN else super().verdict(request, outcome)

    def refusal(self, request: Request, reply: Reply) -> Verdict:
        return refusal(request, reply)
