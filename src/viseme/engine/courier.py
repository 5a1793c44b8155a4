"""Carries a provider's flow: sends its requests within the account's limits and gives it the replies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isnan
from typing import Any, TypeVar
from urllib.parse import urlsplit

from attrs import Factory, define, evolve, field

from viseme.attempts import Handle
from viseme.engine.admission.limits import Place, Rates
from viseme.engine.bodies import BARE, Sent, ready, render
from viseme.engine.masking import Mask
from viseme.engine.transport import Line, Transport, Wire
from viseme.engine.world import World
from viseme.errors import JobInvalid
from viseme.failures import Kind
from viseme.providers.base import (
    Credential,
    Fault,
    Flow,
    Outcome,
    Provider,
    Refused,
    Reply,
    Request,
    Role,
    Safety,
    Save,
    Verdict,
)

__all__ = ["CAP", "Courier"]

T = TypeVar("T")
_PASSING = frozenset({Kind.TRANSIENT, Kind.RATE_LIMITED, Kind.LIMITED})
_PAID, _FOREIGN = Role.PAID, Role.FOREIGN
"""Under names of their own: before Python 3.12 an enum is slow to tell its members (0.12 against 0.01 µs)."""
CAP = 300.0
"""A wait that a vendor asks for is honoured in place up to here, seconds; beyond it an account pauses."""
_LONGEST = 86_400.0
"""No wait that a vendor asks for is longer, as a day's quota is: after so many seconds it is asked anew."""
_BEFORE = 8
"""So many earlier credentials are kept out of messages too: a late reply may quote one."""
_SAVED = Reply(status=204)
Before = Callable[[Request], Awaitable[None]]
Keep = Callable[[Handle], None]


@define(eq=False, repr=False)
class Courier:
    """Runs flows for one account.

    Attributes:
        slowed: told of every 429, with the request's classes, so that the account can hold them.
    """

    world: World
    transport: Transport
    provider: Provider
    rates: Rates
    slowed: Callable[[tuple[str, ...], Verdict], None]
    _credential: Credential | None = None
    _renewing: asyncio.Lock = field(factory=asyncio.Lock)
    _renewals: int = 0
    _unproved: Verdict | None = None
    """What the latest attempt to obtain a credential was refused for."""
    _values: list[str] = field(factory=list[str])
    _safe: Line = field(init=False)
    _paid: Line = field(init=False)
    """A connection of its own for a paid request that must not be sent twice."""
    _near: str = field(init=False)
    _mask: Mask = field(init=False, default=Factory(lambda self: self._masked(), takes_self=True))

    def __attrs_post_init__(self) -> None:
        account = self.provider.account
        once = self.provider.sheet.safety is not Safety.REPLAY
        self._safe = Line(account.name, private=account.allow_private_hosts)
        self._paid = self._safe._replace(fresh=True) if once else self._safe
        self._near = f"{self.provider.origin}/"

    def _masked(self) -> Mask:
        return Mask.of((*self.provider.secrets(), *self._values))

    async def run(
        self,
        flow: Flow[T],
        *,
        before: Before | None = None,
        keep: Keep | None = None,
        tries: int = 4,
        priority: int = 0,
        sent: Sent | None = None,
    ) -> T:
        """Run a flow to its end.

        Args:
            before: awaited when the paid request has its place and is about to leave; what it raises keeps the request
                here.
            keep: takes a handle that the flow wants saved.
            tries: how often a safe request is sent while it fails in passing.
            sent: told of the bytes of files as they leave.

        Raises:
            Refused: a request was refused for good and the flow did not catch it.
        """
        paid = False
        reply: Any = None  # which is how a flow begins
        refused: Refused | None = None
        try:
            while True:
                try:
                    step = flow.send(reply) if refused is None else flow.throw(refused)
                except StopIteration as stop:
                    return self._mask.value(stop.value)
                except Refused:
                    raise
                except Exception as error:  # an adapter that breaks must not take the other tasks down with it
                    raise (refused or _breaks(error, reply, paid=paid)) from error
                refused = None
                if isinstance(step, Save):
                    if keep is not None:
                        keep(step.handle)
                    reply = _SAVED
                    continue
                try:
                    outcome = await self._once(step, before if step.role is _PAID else None, priority, sent)
                    verdict = self._verdict(step, outcome)
                    if verdict is None and isinstance(outcome, Reply):
                        reply = outcome
                    else:
                        reply = await self._again(step, outcome, verdict, tries, priority, sent)
                    paid = paid or step.role is _PAID
                except Refused as refusal:
                    refused = refusal
        except Refused as refusal:
            verdict = self.clean(refusal.verdict)
            if verdict is refusal.verdict:
                raise
            raise Refused(verdict) from None
        finally:
            refused = None  # else it and this frame, which its traceback holds, would be a circle
            flow.close()

    async def _again(
        self,
        request: Request,
        outcome: Outcome,
        verdict: Verdict | None,
        tries: int,
        priority: int,
        sent: Sent | None,
    ) -> Reply:
        """Send a safe request again while it fails in passing; a paid one is left at its first outcome."""
        for number in range(1, tries + 1):
            if verdict is None and isinstance(outcome, Reply):
                return outcome
            last = request.role is _PAID or number == tries
            if last or verdict is None or verdict.kind not in _PASSING:
                raise Refused(verdict or _no_verdict(request, outcome))
            if verdict.kind is Kind.TRANSIENT:
                wait = max(2.0 ** (number - 1), min(verdict.retry_after or 0.0, CAP))
                await self.world.sleep(wait * (1 + self.world.random() / 4))
            outcome = await self._once(request, None, priority, sent)
            verdict = self._verdict(request, outcome)
        raise AssertionError("tries is at least 1")

    async def _once(
        self, request: Request, before: Before | None, priority: int, sent: Sent | None, *, renew: bool = True
    ) -> Outcome:
        """Send a request once, in its place, which is held until its outcome is seen.

        Where a credential that can be had anew was refused (a 401), it is sent once more with another: what was refused
        so was not carried out, so this repeats no paid request.
        """
        url = request.url
        signs = request.role is not _FOREIGN and (url.startswith(self._near) or self._is_vendors(url))
        place = self.rates.take(request.classes) if not signs or self._fresh() else None
        if place is None:
            place = await self._place(request.classes, priority, signs=signs)
        try:
            rendered = ready(request) or await render(self.world, request, sent)
            if before is not None:
                await before(request)
            used = self._credential if signs else None
            proof: Mapping[str, str] = {} if used is None else self.provider.sign(request, used, self.world.now())
            plain = rendered is BARE and not request.headers
            headers = proof if plain else {**request.headers, **rendered.headers, **proof}
            wire = Wire(request.method, url, headers, rendered.body, request.hold)
        except BaseException:
            place.cancel()
            raise
        try:
            outcome = await self.transport.send(self._paid if request.role is _PAID else self._safe, wire)
        except BaseException:
            place.end()
            raise
        if isinstance(outcome, Fault):
            if outcome.sent:
                place.end()
            else:
                place.cancel()
            return outcome
        place.end()
        if outcome.status != 401 or not renew or used is None or used.expires is None:
            return outcome
        if self._credential is used:
            self._credential = None
        return await self._once(request, None, priority, sent, renew=False)

    async def _place(self, classes: tuple[str, ...], priority: int, *, signs: bool) -> Place:
        """A place, and a credential that did not run out while it was waited for."""
        while True:
            if signs:
                await self._prove()
            place = await self.rates.acquire(classes, priority)
            if not signs or self._fresh():
                return place
            place.cancel()

    def _verdict(self, request: Request, outcome: Outcome) -> Verdict | None:
        try:
            verdict = self.provider.verdict(request, outcome)
        except Exception as error:
            verdict = _broken(error, paid=request.role is _PAID)
        if verdict is None:
            return None
        verdict = self.clean(verdict)
        if verdict.retry_after is None and isinstance(outcome, Reply):
            verdict = evolve(verdict, retry_after=self._dated(outcome.headers))
        if verdict.kind in (Kind.RATE_LIMITED, Kind.LIMITED):
            self.slowed(request.classes, verdict)
        return verdict

    def clean(self, verdict: Verdict) -> Verdict:
        """The verdict without the account's secrets, which some vendors quote back in their refusals; its wait is one
        that can be kept to."""
        told = verdict.retry_after
        if told is not None and not 0 <= told <= _LONGEST:
            verdict = evolve(verdict, retry_after=None if isnan(told) else min(max(0.0, told), _LONGEST))
        return self._mask.verdict(verdict)

    def _dated(self, headers: Mapping[str, str]) -> float | None:
        """Seconds of a ``Retry-After`` in its date form, by the vendor's own clock where its reply tells the time."""
        until = _moment(headers.get("retry-after"))
        if until is None:
            return None
        told = _moment(headers.get("date"))
        return min(max(0.0, until - (self.world.now() if told is None else told)), _LONGEST)

    def _is_vendors(self, url: str) -> bool:
        """Whether a URL leads to the vendor's own host, which is all that ever sees a key."""
        return _origin(url) == self.provider.origin

    async def _prove(self) -> None:
        """Have a credential: one request obtains it for all that wait, and what it is refused they all are."""
        if self._fresh():
            return
        begun = self._renewals
        async with self._renewing:
            if self._fresh():
                return
            if self._renewals != begun and self._unproved is not None:
                raise Refused(self._unproved)
            self._unproved = None
            try:
                self._credential = await self.run(self.provider.authorize(self._credential, self.world.now()))
                self._values = [*self._values, self._credential.value][-_BEFORE:]
                self._mask = self._masked()
            except Refused as refusal:
                self._unproved = refusal.verdict
                raise
            finally:
                self._renewals += 1

    def _fresh(self) -> bool:
        known = self._credential
        return known is not None and (known.expires is None or self.world.now() < known.expires)


def _moment(value: str | None) -> float | None:
    """UTC seconds of a date as HTTP writes them; None where it is none."""
    if not value or value.strip().isdigit():
        return None
    try:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _breaks(error: Exception, reply: Reply | None, *, paid: bool) -> Refused:
    """What an adapter that breaks makes of its flow: on a reply, or (None) before its first request."""
    if reply is not None:
        return Refused(_broken(error, paid=paid))
    message = str(error) if isinstance(error, JobInvalid) else f"the adapter cannot make a request: {error!r}"
    return Refused(Verdict(kind=Kind.INVALID, message=message, blame="job"))


def _broken(error: Exception, *, paid: bool) -> Verdict:
    kind = Kind.FATE_UNKNOWN if paid else Kind.PROTOCOL
    return Verdict(kind=kind, message=f"the adapter cannot read the reply: {error!r}", charged=paid)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _no_verdict(request: Request, outcome: Outcome) -> Verdict:
    message = outcome.message if isinstance(outcome, Fault) else f"HTTP {outcome.status}"
    paid = request.role is _PAID
    kind = Kind.FATE_UNKNOWN if paid else Kind.PROTOCOL
    return Verdict(kind=kind, message=f"the reply makes no sense: {message}", charged=paid)
