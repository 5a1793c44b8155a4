"""What one attempt of a job costs at most, before it is bought."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from typing import Protocol

from attrs import define, field

from viseme.engine.admission.desk import Desk
from viseme.engine.preflight.facts import Facts
from viseme.engine.preflight.inspector import Inspector
from viseme.jobs import Job
from viseme.money import Price, Quote
from viseme.providers.base import Provider, Refused
from viseme.results import Cost
from viseme.strict import known_names

__all__ = ["Estimator", "longest", "spoken"]

_KNOWN = 2048
_CUT_TO_AUDIO = frozenset({None, "bounce", "loop", "remap"})
"""Sync's modes whose result is never longer than its audio (sheet section 2.1)."""


class Look(Protocol):
    """A way to learn what a medium is: the inspector's ``facts``, or ``known``; None where nobody knows."""

    async def __call__(self, source: str, *, private: bool) -> Facts | None: ...


def spoken(text: str) -> float:
    """How long a text takes to speak at most, seconds.

    Speech runs at 12 to 17 letters a second, and at 4 to 7 characters a second in scripts whose characters are
    syllables. Counted here are 8 and 3, and 2 s for pauses, so that a slow voice does not cost more than was said.
    """
    plain = sum(character.isascii() for character in text)
    return 2.0 + plain / 8 + (len(text) - plain) / 3


def longest(job: Job, picture: float | None, speech: float | None, *, modes: bool) -> float | None:
    """How long the result is at most, seconds; None where that cannot be told.

    A result is as long as its audio or its video, whichever the vendor lets win; where that is not documented, or
    depends, the longer of both counts. A still picture has no length, so the speech decides; so it does in Sync's modes
    that fit the video to the audio, unless segments bring in further voices. A dub is as long as its video.

    Args:
        picture: length of the video.
        speech: length of the audio, or of the spoken text.
        modes: whether the vendor has Sync's modes.
    """
    if job.image:
        return speech
    if job.language or not (job.audio or job.text):
        return picture
    mode = job.options.get("sync_mode", job.options.get("syncMode"))
    if modes and mode in _CUT_TO_AUDIO and not job.options.get("segments"):
        return speech
    return None if picture is None or speech is None else max(picture, speech)


@define(eq=False, repr=False)
class Estimator:
    """Prices jobs: by what the account states, else by the vendor's own estimate, else by the published price.

    Attributes:
        desks: by account.
        inspector: tells how long media are; without one, only prices per job are known.
    """

    desks: Mapping[str, Desk]
    inspector: Inspector | None = None
    _vendors: OrderedDict[tuple[str, str, float, float | None], Cost | None] = field(
        factory=OrderedDict[tuple[str, str, float, float | None], "Cost | None"]
    )
    """What vendors estimated, by account, model, seconds and pictures a second."""

    def flat(self, job: Job, account: str) -> Cost | None:
        """What an attempt costs where a job has one price, so that no media are measured and no vendor is asked.

        Raises:
            JobInvalid: the provider has no such model.
        """
        provider = self.desks[account].provider
        price = provider.price(job)
        if price is None or price.per != "job" or _asks(provider, _stated(provider, provider.model(job).name)):
            return None
        return price.cost(0.0)

    async def quote(self, job: Job, account: str) -> Quote:
        """What an attempt at an account costs at most, and who says so; media are measured for it, vendors asked.

        Raises:
            JobInvalid: the provider has no such model.
        """
        provider = self.desks[account].provider
        model, price = provider.model(job), provider.price(job)
        stated = _stated(provider, model.name)
        asks = _asks(provider, stated)
        if price is None and not asks:
            return Quote(account=account, model=model.name)
        source = f"accounts.{account}.price" if stated else "published"
        dated = "" if stated or price is None else price.dated
        if price is not None and price.per == "job" and not asks:
            cost = price.cost(0.0)
            return Quote(account=account, model=model.name, cost=cost, firm=True, source=source, dated=dated)
        seconds, fps = await self._length_of(job, provider)
        if seconds is None:
            return Quote(account=account, model=model.name, source=source, dated=dated)
        asked = await self._ask(job, account, seconds, fps) if asks else None
        if asked is not None:
            return Quote(account=account, model=model.name, cost=asked, seconds=seconds, source="the vendor's estimate")
        cost = provider.reckon(job, seconds, fps)
        return Quote(account=account, model=model.name, cost=cost, seconds=seconds, source=source, dated=dated)

    @property
    def looked(self) -> bool:
        """Whether any medium was looked at yet, so that a length may be known."""
        return self.inspector is not None and self.inspector.looked

    async def known_length(self, job: Job, account: str) -> float | None:
        """How long the job's result is at most, where its media were measured already; nothing is measured for it."""
        if self.inspector is None or account not in self.desks:
            return None
        return (await self._length_of(job, self.desks[account].provider, self.inspector.known))[0]

    async def _length_of(
        self, job: Job, provider: Provider, look: Look | None = None
    ) -> tuple[float | None, float | None]:
        """How long the job's result is at most, and how many pictures a second it has, where the video tells."""
        private = provider.account.allow_private_hosts
        look = look or (None if self.inspector is None else self.inspector.facts)
        picture, fps = await _length(job.video, look, private)
        speech = spoken(job.text) if job.text else (await _length(job.audio, look, private))[0]
        return longest(job, picture, speech, modes=_has_modes(provider.Options)), fps

    async def _ask(self, job: Job, account: str, seconds: float, fps: float | None) -> Cost | None:
        """The vendor's estimate, asked once for each model, rate and length in whole seconds, begun ones counted."""
        desk, whole = self.desks[account], max(1.0, float(math.ceil(seconds)))
        name = (account, desk.provider.model(job).name, whole, fps)
        if name not in self._vendors:
            try:
                found = await desk.courier.run(desk.provider.estimate(job, whole, fps), tries=2)
            except Refused:
                return None
            if len(self._vendors) >= _KNOWN:
                self._vendors.popitem(last=False)
            self._vendors[name] = found
        return self._vendors[name]


@cache
def _has_modes(options: type) -> bool:
    """Whether a vendor's options have Sync's modes."""
    return "sync_mode" in known_names(options)


async def _length(source: str | None, look: Look | None, private: bool) -> tuple[float | None, float | None]:
    """A medium's length and pictures a second; a length that is only estimated counts a tenth more."""
    facts = None if source is None or look is None else await look(source, private=private)
    if facts is None:
        return None, None
    if facts.seconds is None or not math.isfinite(facts.seconds):
        return None, facts.fps
    return facts.seconds * 1.1 if facts.rough else facts.seconds, facts.fps


def _asks(provider: Provider, stated: Price | None) -> bool:
    """Whether the vendor itself says what a job costs, and the account does not know better."""
    return type(provider).estimate is not Provider.estimate and not stated


def _stated(provider: Provider, model: str) -> Price | None:
    """What the account itself states a model to cost."""
    return provider.account.price.get(model) or provider.account.price.get("")
