"""Rask's access tokens. Source: its fact sheet, section 1."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from attrs import evolve
from tests.unit.flows import drive, reply
from tests.unit.rask_replies import NOW, provider

from viseme.failures import Kind
from viseme.providers.base import Credential, Fault, Form, Outcome, Refused, Request, Role
from viseme.providers.rask import Rask

SCOPES = "api/source api/input api/output api/limit"


def obtained(ours: Rask, outcome: Outcome) -> Any:
    return drive(ours, ours.authorize(None, NOW), outcome)


def token(**given: object) -> Outcome:
    return reply({"access_token": "abc.def", "token_type": "Bearer", "expires_in": 3600, **given})


def test_the_credentials_go_in_a_basic_header() -> None:
    request = obtained(provider(), token()).request
    assert request == Request(
        method="POST",
        url="https://rask-prod.auth.us-east-2.amazoncognito.com/oauth2/token",
        role=Role.FOREIGN,
        classes=(),
        headers={"authorization": "Basic " + base64.b64encode(b"id:top-secret").decode()},
        body=Form({"grant_type": "client_credentials", "scope": SCOPES}),
    )


def test_or_in_the_form() -> None:
    ours = provider(client_auth="post", token_url="https://auth.example/t?a=1", scopes="x")
    request = obtained(ours, token()).request
    assert request.url == "https://auth.example/t?a=1"
    assert request.headers == {}
    assert request.body == Form(
        {"grant_type": "client_credentials", "scope": "x", "client_id": "id", "client_secret": "top-secret"}
    )


@pytest.mark.parametrize(
    ("expires_in", "renewed_after"),
    [(3600, 3540.0), ("3600", 3540.0), (300, 270.0), (10, 9.0), (None, 3540.0), (0, 3540.0), ("soon", 3540.0)],
)
def test_a_token_is_renewed_before_its_end(expires_in: object, renewed_after: float) -> None:
    assert obtained(provider(), token(expires_in=expires_in)).result == Credential("abc.def", NOW + renewed_after)


def test_a_token_goes_to_the_api_as_a_bearer_and_the_secret_does_not() -> None:
    ours = provider()
    headers = ours.sign(ours.calls.credits(), Credential("abc.def"), NOW)
    assert headers == {"authorization": "Bearer abc.def"}


def test_every_form_of_the_secret_is_kept_out_of_messages() -> None:
    ours = provider()
    assert set(ours.secrets()) == {"top-secret", base64.b64encode(b"id:top-secret").decode()}
    assert "top-secret" not in repr(ours.settings)


@pytest.mark.parametrize(
    ("outcome", "kind", "words"),
    [
        (reply({"error": "invalid_client"}, 400), Kind.AUTH, "invalid_client; check client_id and client_secret"),
        (reply({"error": "invalid_grant"}, 400), Kind.AUTH, "plan includes the API"),
        (reply({"error": "invalid_scope"}, 400), Kind.AUTH, "check scopes"),
        (reply({"error": "unauthorized_client"}, 401), Kind.AUTH, "plan includes the API"),
        (reply(b"<html>", 403), Kind.AUTH, "check token_url"),
        (reply(b"not here", 404), Kind.AUTH, "check token_url"),
        (reply(b"", 302), Kind.AUTH, "check token_url"),
        (reply({"message": "x"}, 500), Kind.TRANSIENT, "tries again"),
        (reply({}, 503), Kind.TRANSIENT, "tries again"),
        (reply({}, 429, retry_after="7"), Kind.TRANSIENT, "tries again"),
        (reply(b"<html>", 200), Kind.TRANSIENT, "not JSON"),
        (Fault(sent=True, message="reset"), Kind.TRANSIENT, "reset"),
        (reply({"token_type": "Bearer"}), Kind.AUTH, "without an access_token"),
        (reply({"access_token": "a b"}), Kind.AUTH, "without an access_token"),
        (reply([]), Kind.AUTH, "without an access_token"),
    ],
)
def test_what_a_token_endpoint_says_instead_is_trouble_of_the_account_or_passes(
    outcome: Outcome, kind: Kind, words: str
) -> None:
    with pytest.raises(Refused, match=words) as caught:
        obtained(provider(), outcome)
    assert caught.value.verdict.kind is kind
    assert not caught.value.verdict.charged


def test_a_busy_token_endpoint_says_how_long_to_wait() -> None:
    with pytest.raises(Refused) as caught:
        obtained(provider(), reply({}, 429, retry_after="7"))
    assert caught.value.verdict.retry_after == 7.0
    assert evolve(caught.value.verdict, retry_after=None).blame == "vendor"
