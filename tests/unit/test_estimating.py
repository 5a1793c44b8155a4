"""How long results get at most, and whose price counts."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from viseme.config import Account
from viseme.engine.money.estimating import Estimator, longest, spoken
from viseme.errors import JobInvalid
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.money import Price
from viseme.providers import adapter
from viseme.providers.base import Refused, Verdict
from viseme.results import Cost

VIDEO, AUDIO = "https://media.example/a.mp4", "https://media.example/a.wav"


def job(**given: Any) -> Job:
    return Job(**{"video": VIDEO, "audio": AUDIO, **given})


@frozen
class Length:
    seconds: float | None
    fps: float | None = None
    rough: bool = False


@define
class Media:
    """Media of known lengths; remembers what was looked at."""

    lengths: dict[str, Length]
    looked: list[str] = field(factory=list[str])

    async def facts(self, source: str, *, private: bool) -> Length:
        self.looked.append(source)
        return self.lengths.get(source, Length(None))


@define
class Vendor:
    """Answers estimates; remembers how long each was for."""

    answer: Cost | Exception | None
    asked: list[float] = field(factory=list[float])

    async def run(self, flow: Any, *, tries: int = 4) -> Cost | None:
        try:
            request = next(flow)
        except StopIteration as stop:
            return stop.value
        self.asked.append(request.json["duration"])
        flow.close()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@frozen
class Desk:
    provider: Any
    courier: Any


def estimator(provider: str, answer: Any = None, media: Media | None = None, **account: Any) -> Estimator:
    made = adapter(Account(provider, api_key="k" * 20, **account))
    return Estimator({provider: Desk(made, Vendor(answer))}, media or Media({VIDEO: Length(30.0), AUDIO: Length(10.0)}))


@pytest.mark.parametrize(
    ("made", "modes", "wanted"),
    [
        (job(), False, 30.0),
        (job(), True, 10.0),
        (job(options={"sync_mode": "loop"}), True, 10.0),
        (job(options={"sync_mode": "silence"}), True, 30.0),
        (job(options={"syncMode": "cut_off"}), True, 30.0),
        (job(options={"segments": [{}]}), True, 30.0),
        (job(audio=None, language="es"), True, 30.0),
        (job(video=None, image="https://media.example/a.png"), False, 10.0),
    ],
)
def test_a_result_is_as_long_as_what_may_win(made: Job, modes: bool, wanted: float) -> None:
    assert longest(made, 30.0 if made.video else None, 10.0, modes=modes) == wanted


def test_a_length_that_is_not_known_makes_the_results_unknown_where_it_matters() -> None:
    assert longest(job(), None, 10.0, modes=False) is None
    assert longest(job(), None, 10.0, modes=True) == 10.0
    assert longest(job(), 30.0, None, modes=True) is None


@given(st.text(min_size=1))
def test_speech_is_never_faster_than_people_speak(text: str) -> None:
    assert spoken(text) >= 2.0 + len(text) / 8
    assert spoken(text * 2) > spoken(text)


async def test_a_price_per_job_needs_nothing_looked_at() -> None:
    media = Media({})
    found = await estimator("sync", media=media, price="0.5 usd/job").quote(job(), "sync")
    assert (found.cost, found.firm, found.source) == (
        Cost(amount=0.5, unit="usd", usd=0.5, estimated=True),
        True,
        "accounts.sync.price",
    )
    assert media.looked == []


def test_only_a_price_per_job_that_no_vendor_knows_better_is_flat() -> None:
    stated = Cost(amount=0.5, unit="usd", usd=0.5, estimated=True)
    assert estimator("jogg", price="0.5 usd/job").flat(job(), "jogg") == stated
    assert estimator("sync", price="0.5 usd/job").flat(job(), "sync") == stated
    assert estimator("jogg", price="0.5 usd/s").flat(job(), "jogg") is None
    published = estimator("sync")
    model = next(iter(published.desks["sync"].provider.sheet.models.values()))
    assert published.flat(job(), "sync") is None
    sold = evolve(model, price=Price(amount=2.0, unit="usd", per="job", usd_per_unit=1.0))
    published.desks["sync"].provider.sheet = evolve(published.desks["sync"].provider.sheet, models={"m": sold})
    assert published.flat(job(), "sync") is None
    with pytest.raises(JobInvalid, match="no model"):
        published.flat(job(model="x"), "sync")


async def test_the_accounts_own_price_goes_before_the_vendors_estimate() -> None:
    found = await estimator("sync", Cost(amount=9.0, unit="usd", usd=9.0), price="0.1 usd/s").quote(job(), "sync")
    assert found.cost == Cost(amount=1.0, unit="usd", usd=1.0, estimated=True)
    assert (found.seconds, found.firm, found.source) == (10.0, False, "accounts.sync.price")


async def test_the_vendor_is_asked_once_for_each_length_in_whole_seconds() -> None:
    media = Media({VIDEO: Length(30.0), AUDIO: Length(9.2), "https://media.example/b.wav": Length(9.9)})
    made = estimator("sync", Cost(amount=0.5, unit="usd", usd=0.5, estimated=True), media)
    first = await made.quote(job(), "sync")
    second = await made.quote(job(audio="https://media.example/b.wav"), "sync")
    assert first.cost == second.cost
    assert (first.source, first.seconds) == ("the vendor's estimate", 9.2)
    assert made.desks["sync"].courier.asked == [10.0]


async def test_the_published_price_stands_in_where_the_vendor_does_not_answer() -> None:
    refused = Refused(Verdict(kind=Kind.TRANSIENT, message="no"))
    found = await estimator("sync", refused).quote(job(), "sync")
    assert found.cost is not None
    assert (found.source, found.dated) == ("published", "2026-10-10")


async def test_a_published_price_is_told_with_its_date_and_counts_the_longer_medium() -> None:
    found = await estimator("jogg").quote(job(), "jogg")
    assert found.cost == Cost(amount=0.24, unit="credits", estimated=True)
    assert (found.seconds, found.source, found.dated, found.firm) == (30.0, "published", "2026-11-20", False)


async def test_a_rough_length_counts_a_tenth_more() -> None:
    media = Media({VIDEO: Length(10.0), AUDIO: Length(100.0, rough=True)})
    found = await estimator("jogg", media=media).quote(job(), "jogg")
    assert found.seconds == pytest.approx(110.0)


async def test_without_a_length_a_price_by_length_is_not_known() -> None:
    found = await estimator("jogg", media=Media({VIDEO: Length(10.0), AUDIO: Length(None)})).quote(job(), "jogg")
    assert (found.cost, found.source) == (None, "published")
    untold = await estimator("sync", extra_models=["sync-9"], media=Media({})).quote(job(model="sync-9"), "sync")
    assert untold.cost is None
