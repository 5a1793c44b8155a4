"""Addresses taken apart: an origin that is known after the first, and what stands in a request's first line."""

from __future__ import annotations

import pytest
from yarl import URL

from viseme.engine.targets import target


@pytest.mark.parametrize(
    ("text", "origin", "path"),
    [
        (
            "https://api.example/v2/generate/a?include=progress",
            "https://api.example",
            "/v2/generate/a?include=progress",
        ),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080", "/"),
        ("http://h.example/a?b?c=/d", "http://h.example", "/a?b?c=/d"),
        ("http://h.example", "http://h.example", "/"),
        ("http://h.example?x=1", "http://h.example", "/?x=1"),
        ("http://h.example/a?", "http://h.example", "/a"),
        ("http://h.example/a?b#c/d?e", "http://h.example", "/a?b"),
        ("HTTPS://h.example/a", "https://h.example", "/a"),
        ("http://h.example/a b/é", "http://h.example", "/a%20b/%C3%A9"),
        ("http://[::1]:8080/a", "http://[::1]:8080", "/a"),
    ],
)
def test_an_address_is_its_origin_and_the_rest_as_it_stands(text: str, origin: str, path: str) -> None:
    found, rest = target(text)
    assert (found.text, rest) == (origin, path)
    assert found.url == URL(origin, encoded=True)


def test_an_origin_is_the_same_for_all_its_addresses() -> None:
    assert target("https://api.example/a")[0] is target("https://api.example/b?c")[0]
    assert target("https://api.example/a")[0] is not target("http://api.example/a")[0]
    assert target("https://api.example/a")[0] is not target("https://u:p@api.example/a")[0]


def test_the_head_names_the_host_and_who_asks() -> None:
    assert target("https://api.example:443/a")[0].told == "Host: api.example\r\n"
    assert target("http://api.example:8080/a")[0].told == "Host: api.example:8080\r\n"
    assert target("http://u:p@api.example/a")[0].told == "Host: api.example\r\nAuthorization: Basic dTpw\r\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b", ("https://h.example:8443", "/x/b")),
        ("/b?c", ("https://h.example:8443", "/b?c")),
        ("//other.example/b", ("https://other.example", "/b")),
        ("http://other.example/b", ("http://other.example", "/b")),
        ("?c", ("https://h.example:8443", "/x/a?c")),
    ],
)
def test_an_address_may_be_relative_to_another(text: str, expected: tuple[str, str]) -> None:
    found, path = target(text, target("https://h.example:8443/x/a?q=1"))
    assert (found.text, path) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a/b",
        "/a",
        "ftp://h.example/a",
        "file:///etc/passwd",
        "http:///a",
        "http://h.example:0/a",
        "http://h.example:99999/a",
        "http://h.example:x/a",
        "http://h.example\\@other.example/a",
        "http://[::1/a",
        "http://[]@/a",  # yarl's parser breaks on it
        "http://[]@",
    ],
)
def test_what_leads_nowhere_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        target(text)
