"""What every provider has in common, and how one is found."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from attrs import fields
from tests.unit.flows import AUDIO, VIDEO, drive, intent, reply

from viseme import providers
from viseme.attempts import Handle, Intent
from viseme.config import RATE_CLASSES, Account
from viseme.errors import ConfigError, JobInvalid
from viseme.failures import Kind
from viseme.jobs import Job
from viseme.providers import find, names
from viseme.providers.aimlapi import AimlApi
from viseme.providers.base import (
    Accepted,
    Answer,
    Credential,
    Fault,
    Flow,
    Model,
    Observation,
    Price,
    Provider,
    Refused,
    Reply,
    Request,
    Role,
    Safety,
    Save,
    Seen,
    Sheet,
    Undecided,
    Verdict,
    http_kind,
    look_at,
    retry_after,
)
from viseme.providers.jogg import JoggAI
from viseme.providers.rask import Rask
from viseme.providers.sync import Sync, SyncOptions
from viseme.results import Cost

BUILT_IN: list[type[Provider]] = [Sync, JoggAI, AimlApi]
PAID = Request(method="POST", url="https://vendor.example/x", role=Role.PAID)
SAFE = Request(method="GET", url="https://vendor.example/x")


class Plain(Provider):
    """A provider with as little as may be."""

    name = "plain"
    sheet = Sheet(base_url="https://vendor.example", models={"one": Model(name="one")}, rates={}, concurrency=1)

    def sign(self, request: Request, credential: Credential, now: float) -> Mapping[str, str]:
        return {}

    def create(self, job: Job, intent: Intent, handles: Mapping[str, Handle]) -> Flow[Accepted]:
        yield Save({"id": "early"})
        yield PAID
        return Accepted(handle={"id": "1"})

    def poll(self, handle: Handle, hold: float = 0.0, now: float = 0.0) -> Flow[Observation]:
        yield SAFE
        return Observation(seen=Seen.RUNNING, status="")

    def refusal(self, request: Request, reply: Reply) -> Verdict:
        return Verdict(kind=http_kind(request, reply.status), message="")


class Uploading(Plain):
    sheet = Sheet(
        base_url="https://vendor.example", models=Plain.sheet.models, rates={}, concurrency=1, local_files=True
    )


def plain(kind: type[Provider] = Plain, **settings: Any) -> Provider:
    return kind(Account("plain", api_key="key", **settings))


def job(**given: Any) -> Job:
    return Job(**{"video": VIDEO, "audio": AUDIO, **given})


# -- finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("sync", Sync), ("jogg", JoggAI), ("aimlapi", AimlApi), ("rask", Rask)])
def test_the_built_in_providers_are_found_without_metadata(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Provider]
) -> None:
    monkeypatch.setattr(providers, "entry_points", lambda **_: ())
    assert find(name) is kind
    assert kind.name == name
    assert names() == ("sync", "jogg", "aimlapi", "rask")


def test_the_package_declares_them_as_entry_points_too() -> None:
    assert set(names()) >= {"sync", "jogg", "aimlapi", "rask"}


def plug(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    made = [EntryPoint(name=name, value=value, group="viseme.providers") for name, value in points]
    monkeypatch.setattr(
        providers,
        "entry_points",
        lambda group, name=None: [point for point in made if name in (None, point.name)],
    )


def test_a_plug_in_brings_a_provider_and_replaces_none(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, ("acme", "viseme.providers.jogg:JoggAI"), ("sync", "viseme.providers.jogg:JoggAI"))
    assert find("acme") is JoggAI
    assert find("sync") is Sync
    assert names() == ("sync", "jogg", "aimlapi", "rask", "acme")


def test_an_unknown_provider_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, ("acme", "x:Y"))
    with pytest.raises(ConfigError, match="no provider 'sink'; known are sync, jogg, aimlapi, rask, acme"):
        find("sink")


@pytest.mark.parametrize("value", ["no.such.module:X", "viseme.providers.jogg:Nothing"])
def test_a_plug_in_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    plug(monkeypatch, ("acme", value))
    with pytest.raises(ConfigError, match=f"provider 'acme' .{value}. cannot be loaded"):
        find("acme")


@pytest.mark.parametrize("value", ["viseme.providers.jogg:JoggOptions", "viseme.providers:find"])
def test_a_plug_in_must_hold_a_provider(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    plug(monkeypatch, ("acme", value))
    with pytest.raises(ConfigError, match="no Provider class"):
        find("acme")


# -- sheets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_sheet_can_be_relied_on(kind: type[Provider]) -> None:
    sheet = kind.sheet
    assert sheet.base_url.startswith("https://")
    assert not sheet.base_url.endswith("/")
    assert set(sheet.rates) <= set(RATE_CLASSES)
    assert all(rate.count > 0 for rates in sheet.rates.values() for rate in rates)
    assert sheet.concurrency >= 1
    assert 0 < sheet.first <= sheet.every * 2
    assert not sheet.complete
    assert not sheet.cancel
    for name, model in sheet.models.items():
        assert model.name == name
        assert model.price is None or model.price.dated
    assert not [field.name for field in fields(kind.Options) if field.default is None and not field.kw_only]


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_create_has_one_paid_request_below_the_base_url(kind: type[Provider]) -> None:
    ours = kind(Account("acme", api_key="key", base_url="https://proxy.example/sub/"))
    request = next(ours.create(job(), intent(), {}))
    assert isinstance(request, Request)
    assert request.role is Role.PAID
    assert request.url.startswith("https://proxy.example/sub/")
    assert {"create", "post", "all"} == set(request.classes)
    assert ours.origin == "https://proxy.example"


@pytest.mark.parametrize("kind", BUILT_IN)
def test_no_vendor_here_cancels(kind: type[Provider]) -> None:
    ours = kind(Account("acme", api_key="key"))
    assert drive(ours, ours.cancel({"id": "x"})).result == Answer(
        outcome="unsupported", message=f"{kind.name} has no cancel; the job runs on and is billed"
    )
    assert ours.stages(job()) == ("lipsync",)


# -- accounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_missing_key_is_named_with_its_variable(kind: type[Provider]) -> None:
    with pytest.raises(ConfigError, match=rf"accounts\.acme: api_key is missing.*\${kind.name.upper()}_API_KEY"):
        kind(Account(kind.name, name="acme"))


@pytest.mark.parametrize("key", ["a b", "ключ", "a\nb", "a\x00"])
def test_a_key_that_no_vendor_gave_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="copy it again") as caught:
        Plain(Account("plain", api_key=key))
    assert key not in str(caught.value)


def test_an_unknown_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"accounts\.jogg: unknown name 'prefix'; known are .*path_prefix"):
        JoggAI(Account("jogg", api_key="key", prefix="/v2"))
    with pytest.raises(ConfigError, match=r"accounts\.jogg: lookup: must be true or false, not yes"):
        JoggAI(Account("jogg", api_key="key", lookup="yes"))


# -- jobs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"video": None}, "video", "no picture"),
        ({"video": None, "image": VIDEO}, "image", "one takes no image; give video"),
        ({"audio": None}, "audio", "no speech; give audio"),
        ({"audio": None, "text": "x"}, "text", "one takes no text; give audio"),
        ({"model": "two"}, "model", "plain has no model 'two'; known are one"),
        ({"video": "talk.mp4"}, "video", "'talk.mp4' is a local file"),
        ({"audio": "http://127.0.0.1/a.wav"}, "audio", "is on 127.0.0.1, which plain cannot reach"),
        ({"options": {"a": 1}}, "options", "unknown name 'a'; known are none"),
    ],
)
def test_what_no_vendor_takes_is_refused(given: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(JobInvalid, match=words) as caught:
        plain().check(job(**given))
    assert caught.value.field == field


def test_private_media_go_where_the_account_allows_them() -> None:
    plain(allow_private_hosts=True).check(job(audio="http://127.0.0.1/a.wav"))


def test_local_files_go_where_the_adapter_uploads_them() -> None:
    plain(Uploading).check(job(video="talk.mp4"))


def test_a_broken_url_is_no_source() -> None:
    with pytest.raises(JobInvalid, match="is not a URL"):
        plain().check_source("options.x", "http://[")


def test_options_that_are_nested_without_end_are_refused() -> None:
    nested = job()
    object.__setattr__(nested, "options", _endless())
    with pytest.raises(JobInvalid, match="nested too deeply"):
        plain().options(nested)


def _endless() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["x"] = loop
    return loop


# -- defaults --------------------------------------------------------------------------------------------------------


def test_what_a_vendor_lacks_has_a_harmless_default() -> None:
    ours = plain()
    assert drive(ours, ours.start()).result is None
    assert drive(ours, ours.balance()).result is None
    assert drive(ours, ours.estimate(job(), 5.0)).result is None
    assert isinstance(drive(ours, ours.reconcile(job(), intent())).result, Undecided)
    assert drive(ours, ours.authorize(None, 0.0)).result == Credential("key")
    assert ours.sheet.safety is Safety.NONE
    with pytest.raises(TypeError, match="plain cannot list"):
        ours.poll_many([{"id": "1"}])


def test_a_flow_may_save_a_handle_on_its_way() -> None:
    ours = plain()
    played = drive(ours, ours.create(job(), intent(), {}), reply({}))
    assert played.saved == ({"id": "early"},)


def test_a_credential_does_not_show_itself() -> None:
    assert "secret" not in repr(Credential("secret"))


@pytest.mark.parametrize(
    ("price", "seconds", "amount", "usd"),
    [
        (Price(amount=0.05, unit="usd", per="second", usd_per_unit=1.0), 12.5, 0.625, 0.625),
        (Price(amount=0.008, unit="credits", per="second", step=0.01), 12.5, 0.1, None),
        (Price(amount=3.0, unit="usd", per="job", step=0.25), 99.0, 3.0, None),
    ],
)
def test_a_price_makes_a_cost(price: Price, seconds: float, amount: float, usd: float | None) -> None:
    assert price.cost(seconds) == Cost(amount=amount, unit=price.unit, usd=usd, estimated=True)


# -- replies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "safe", "paid"),
    [
        (400, Kind.INVALID, Kind.INVALID),
        (401, Kind.AUTH, Kind.AUTH),
        (402, Kind.NO_CREDIT, Kind.NO_CREDIT),
        (403, Kind.AUTH, Kind.AUTH),
        (404, Kind.NOT_FOUND, Kind.NOT_FOUND),
        (405, Kind.NOT_FOUND, Kind.NOT_FOUND),
        (408, Kind.TRANSIENT, Kind.FATE_UNKNOWN),
        (418, Kind.INVALID, Kind.INVALID),
        (425, Kind.TRANSIENT, Kind.FATE_UNKNOWN),
        (429, Kind.LIMITED, Kind.LIMITED),
        (500, Kind.TRANSIENT, Kind.FATE_UNKNOWN),
        (599, Kind.TRANSIENT, Kind.FATE_UNKNOWN),
    ],
)
def test_an_http_status_has_a_meaning_of_its_own(status: int, safe: Kind, paid: Kind) -> None:
    assert http_kind(SAFE, status) is safe
    assert http_kind(PAID, status) is paid


@pytest.mark.parametrize(
    ("body", "safe", "paid"),
    [
        (b"{}", None, None),
        (b"[]", None, None),
        (b"", Kind.TRANSIENT, Kind.FATE_UNKNOWN),
        (b"null", Kind.TRANSIENT, Kind.FATE_UNKNOWN),
        (b"<html>", Kind.TRANSIENT, Kind.FATE_UNKNOWN),
        (b"\xff\xfe", Kind.TRANSIENT, Kind.FATE_UNKNOWN),
        (b'{"a": NaN}', Kind.TRANSIENT, Kind.FATE_UNKNOWN),
        (b"[" * 100_000, Kind.TRANSIENT, Kind.FATE_UNKNOWN),
    ],
)
def test_an_answer_that_is_not_json_may_still_have_been_carried_out(
    body: bytes, safe: Kind | None, paid: Kind | None
) -> None:
    for request, kind in ((SAFE, safe), (PAID, paid)):
        verdict = plain().verdict(request, Reply(status=200, body=body))
        assert (verdict and verdict.kind) == kind


@pytest.mark.parametrize(
    ("status", "paid"),
    [
        (301, Kind.FATE_UNKNOWN),
        (302, Kind.FATE_UNKNOWN),
        (303, Kind.FATE_UNKNOWN),
        (307, Kind.PROTOCOL),
        (308, Kind.PROTOCOL),
    ],
)
def test_a_redirect_is_not_followed(status: int, paid: Kind) -> None:
    for request, kind in ((SAFE, Kind.PROTOCOL), (PAID, paid)):
        verdict = plain().verdict(request, Reply(status=status, body=b"{}"))
        assert verdict is not None
        assert (verdict.kind, verdict.blame) == (kind, "account")


@pytest.mark.parametrize(("sent", "paid"), [(True, Kind.FATE_UNKNOWN), (False, Kind.TRANSIENT)])
def test_a_fault_leaves_a_fate_open_only_where_a_paid_request_left(sent: bool, paid: Kind) -> None:
    fault = Fault(sent=sent, message="reset")
    for request, kind in ((SAFE, Kind.TRANSIENT), (PAID, paid)):
        verdict = plain().verdict(request, fault)
        assert verdict is not None
        assert (verdict.kind, verdict.blame, verdict.charged) == (kind, "network", kind is Kind.FATE_UNKNOWN)
        assert "reset" in verdict.message


def test_a_refused_flow_sees_the_verdict() -> None:
    ours = plain()
    with pytest.raises(Refused) as caught:
        drive(ours, ours.poll({"id": "1"}), reply({}, 404))
    assert caught.value.verdict.kind is Kind.NOT_FOUND


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("1.5", 1.5), ("-1", None), ("nan", None), ("1e12", None), ("soon", None), ("", None)],
)
def test_retry_after_is_read_in_its_number_form(header: str, seconds: float | None) -> None:
    assert retry_after(Reply(status=429, headers={"retry-after": header})) == seconds


def test_a_reply_is_an_object_or_empty() -> None:
    assert reply({"a": 1}).object() == {"a": 1}
    assert reply([1]).object() == reply(b"x").object() == {}


def test_options_that_many_jobs_state_alike_are_read_once_and_never_taken_for_others() -> None:
    provider = Sync(Account("sync", api_key="a-key"))
    first, second = (provider.options(job(options={"temperature": 1.0})) for _ in range(2))
    assert second is first
    assert provider.options(job(options={"temperature": 0.5})).temperature == 0.5
    assert provider.options(job()) == SyncOptions()
    assert provider.options(job(options={"occlusion_detection_enabled": True})).occlusion_detection_enabled is True
    with pytest.raises(JobInvalid, match="occlusion_detection_enabled: must be true or false"):
        provider.options(job(options={"occlusion_detection_enabled": 1}))


def test_options_that_were_refused_once_are_refused_again() -> None:
    provider = Sync(Account("sync", api_key="a-key"))
    for _ in range(2):
        with pytest.raises(JobInvalid, match="temperature must be between 0 and 1"):
            provider.options(job(options={"temperature": 2.0}))


def test_a_reply_is_read_as_json_once() -> None:
    reply = Reply(status=200, body=b'{"id": [1]}')
    assert reply.json() is reply.json()
    assert reply.object() == {"id": [1]}
    assert reply == Reply(status=200, body=b'{"id": [1]}')
    assert Reply(status=200, body=b"<html>").json() is None


def test_requests_that_only_read_are_each_their_own() -> None:
    first, held = look_at("https://a.example/1"), look_at("https://a.example/2", 10.0)
    assert first == Request(method="GET", url="https://a.example/1", classes=("read", "all"))
    assert held == Request(method="GET", url="https://a.example/2", classes=("read", "all"), hold=10.0)
    assert first.role is Role.SAFE
