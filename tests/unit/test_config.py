"""The configuration file, and accounts made in code."""

from __future__ import annotations

from typing import Any

import pytest

from viseme.addresses import private_host
from viseme.config import Account, Downloads, Polling, parse_config
from viseme.errors import ConfigError
from viseme.money import Budget, Price
from viseme.units import Rate

FULL = """
default_account = "sync"
[accounts.sync]
api_key = "$SYNC_API_KEY"
base_url = "https://proxy.example/sync/"
concurrency = 15
pool = "acme"
on_unknown_fate = "fail"
attempts = 2
pay_again = true
extra_models = ["sync-4"]
replay_lifetime = "12h"
[accounts.sync.rates]
create = "100/min"
read = ["5/s", "100/min"]
[accounts.sync.polling]
first = "10s"
every = 15
deadline = "1h30m"
queue_deadline = "0s"
bulk = false
[accounts.second]
provider = "jogg"
api_key = "${JOGG_API_KEY}"
path_prefix = "$PREFIX"
[downloads]
concurrency = 4
covers = true
stall = "5s"
"""
ENVIRON = {"SYNC_API_KEY": "s-key", "JOGG_API_KEY": "j-key", "PREFIX": "/open/v2"}


def parse(text: str, environ: dict[str, str] | None = None) -> Any:
    return parse_config(text, source="viseme.toml", environ=ENVIRON if environ is None else environ)


def test_everything_that_may_be_written_is_read() -> None:
    config = parse(FULL)
    sync, second = config.accounts
    assert config.default_account == "sync"
    assert config.downloads == Downloads(concurrency=4, covers=True, stall=5.0)
    assert (sync.provider, sync.name, sync.api_key) == ("sync", "sync", "s-key")
    assert sync.base_url == "https://proxy.example/sync"
    assert (sync.concurrency, sync.pool, sync.attempts, sync.pay_again) == (15, "acme", 2, True)
    assert (sync.on_unknown_fate, sync.extra_models) == ("fail", ("sync-4",))
    assert sync.rates == {"create": (Rate(100, 60.0),), "read": (Rate(5, 1.0), Rate(100, 60.0))}
    assert sync.polling == Polling(first=10.0, every=15.0, deadline=5400.0, queue_deadline=0.0, bulk=False)
    assert sync.settings == {"replay_lifetime": "12h"}
    assert (second.provider, second.name, second.api_key, second.pool) == ("jogg", "second", "j-key", "second")
    assert second.settings == {"path_prefix": "/open/v2"}


def test_prices_and_budgets_are_read() -> None:
    text = """
        [accounts.one]
        provider = "sync"
        price = "1 credits/job"
        budget = "500 credits/day"
        [accounts.two]
        provider = "sync"
        budget = ["$25", "90 minutes"]
        [accounts.two.price]
        sync-3 = "3 usd/min"
    """
    one, two = parse(text).accounts
    assert one.price == {"": Price.parse("1 credits/job")}
    assert one.budget == (Budget.parse("500 credits/day"),)
    assert two.price == {"sync-3": Price.parse("3 usd/min")}
    assert two.budget == (Budget.parse("25usd"), Budget.parse("90 minutes"))
    assert Account("sync", api_key="x", budget=None).budget == ()  # type: ignore[arg-type]


def test_everything_but_the_key_has_a_default() -> None:
    (account,) = parse('[accounts.sync]\napi_key = "x"').accounts
    assert account == Account("sync", api_key="x")
    assert account.polling == Polling()
    assert (account.on_unknown_fate, account.attempts, account.pay_again) == ("ask", 1, False)


def test_a_key_shows_nowhere() -> None:
    config = parse(FULL)
    assert "s-key" not in repr(config)
    assert "hush" not in repr(Account("x", api_key="hush", client_secret="hush"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no account is configured; add a table like"),
        ("accounts = 3", "no account is configured"),
        ("[accounts.sync", "viseme.toml: this is not TOML"),
        ("[account.sync]", "unknown name 'account'; known are accounts, default_account, downloads"),
        ('default_account = "jogg"\n[accounts.sync]', "'jogg' is not configured; configured are sync"),
        ("[accounts]\nsync = 3", r"accounts\.sync: must be a table"),
        ('[accounts."a b"]', "'a b' is not an account name"),
        ('[accounts.sync]\nname = "x"', r"accounts\.sync: leave name out"),
        ("[accounts.sync]\nself = 1", r"accounts\.sync: leave self out"),
        ("[accounts.sync]\nprovider = 3", r"accounts\.sync\.provider: must be text"),
        ('[accounts.sync]\nconcurrency = "3"', r"accounts\.sync\.concurrency: must be a whole number, not 3"),
        ("[accounts.sync]\nconcurrency = 0", r"accounts\.sync: concurrency must be at least 1"),
        ("[accounts.sync]\nattempts = 0", r"accounts\.sync: attempts must be at least 1"),
        ("[accounts.sync]\nattempts = true", r"accounts\.sync\.attempts: must be a whole number"),
        ('[accounts.sync]\non_unknown_fate = "pay"', "'pay' is not one of ask, fail, resubmit"),
        ('[accounts.sync]\nextra_models = "sync-4"', r"accounts\.sync\.extra_models: must be a list"),
        ("[accounts.sync]\nrates = 3", r"accounts\.sync\.rates: must be a table like"),
        ('[accounts.sync.rates]\nreads = "5/s"', r"accounts\.sync\.rates\.reads: unknown name; known are create, read"),
        ('[accounts.sync.rates]\nread = "fast"', r"accounts\.sync\.rates\.read: fast is not a rate; write it as"),
        ("[accounts.sync.rates]\nread = 5", r"accounts\.sync\.rates\.read: 5 is not a rate"),
        ('[accounts.sync.polling]\nfirst = "10"', r"accounts\.sync\.polling\.first: 10 is not a duration"),
        ("[accounts.sync.polling]\ninterval = 5", r"accounts\.sync\.polling: unknown name 'interval'; known are first"),
        ("[accounts.sync]\npolling = 5", r"accounts\.sync\.polling: must be a table"),
        ('[downloads]\nstall = "x"\n[accounts.sync]', r"downloads\.stall: x is not a duration"),
        ("[downloads]\nretries = 3\n[accounts.sync]", "downloads: unknown name 'retries'; known are concurrency"),
        ('[accounts.sync]\nprice = "cheap"', r"accounts\.sync\.price: cheap is not a price; write it as '0\.05 usd/s'"),
        ('[accounts.sync.price]\nsync-3 = "5"', r"accounts\.sync\.price\.sync-3: 5 is not a price"),
        ("[accounts.sync]\nprice = 5", r"accounts\.sync\.price: 5 is not a price"),
        ('[accounts.sync]\nbudget = "lots"', r"accounts\.sync\.budget: lots is not a budget; write it as '25usd'"),
        ("[accounts.sync]\nbudget = 25", r"accounts\.sync\.budget: 25 is not a budget; write it as"),
        ('[accounts.sync]\nbudget = ["25usd", ""]', r"accounts\.sync\.budget: nothing is not a budget; write it as"),
        ('[accounts.sync]\nbudget = "5 beans/day"', r"accounts\.sync\.budget: 5 beans/day: 'beans' is no unit"),
        ("[accounts.sync.budget]\nusd = 25", r"accounts\.sync\.budget: .* is not a budget"),
        ('[accounts.sync]\napi_key = "$NO_SUCH"', r"accounts\.sync\.api_key reads the environment variable NO_SUCH"),
    ],
)
def test_every_mistake_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse(text)
    assert str(caught.value).startswith("viseme.toml: ")


def test_an_empty_variable_is_not_set() -> None:
    with pytest.raises(ConfigError, match="K, which is not set"):
        parse('[accounts.sync]\napi_key = "$K"', {"K": ""})


def test_a_dollar_within_a_text_is_just_a_dollar() -> None:
    (account,) = parse('[accounts.sync]\napi_key = "a$K"', {}).accounts
    assert account.api_key == "a$K"


@pytest.mark.parametrize("key", [5, ["hush"], {"a": "hush"}, True])
def test_a_key_that_is_no_text_is_refused_without_showing_it(key: Any) -> None:
    with pytest.raises(ConfigError, match="api_key must be text") as caught:
        Account("sync", api_key=key)
    assert "hush" not in str(caught.value)


def test_an_account_in_code_is_checked_like_one_in_the_file() -> None:
    with pytest.raises(ConfigError, match="concurrency: must be a whole number"):
        Account("sync", concurrency="3")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"polling\.first: soon is not a duration"):
        Account("sync", polling={"first": "soon"})
    with pytest.raises(ConfigError, match="not an account name"):
        Account("sync", name="-x")
    made = Account("sync", name="mine", rates={"create": Rate(1, 1.0)}, polling=Polling(first="3s"))  # type: ignore[arg-type]
    assert (made.pool, made.rates["create"], made.polling.first) == ("mine", (Rate(1, 1.0),), 3.0)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("api.sync.so", "must start with https://"),
        ("ftp://api.sync.so", "must start with https://"),
        ("https://", "must start with https://"),
        ("https://[x", "is not a URL"),
        ("https://x:y", "is not a URL"),
        ("https://user@x", "leave out user names"),
        ("https://x?a=1", "leave out"),
        ("https://x#a", "leave out"),
        ("https://127.0.0.1", "is a private address"),
        ("http://localhost:8080/sync", "is a private address"),
        ("http://api.sync.so", "the key would travel unencrypted"),
    ],
)
def test_a_base_url_that_would_leak_or_fail_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Account("sync", base_url=url)


def test_private_hosts_can_be_allowed() -> None:
    made = Account("sync", base_url="http://127.0.0.1:9/sync/", allow_private_hosts=True)
    assert made.base_url == "http://127.0.0.1:9/sync"


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("LOCALHOST.", True),
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("192.168.0.1", True),
        ("169.254.169.254", True),
        ("0.0.0.0", True),
        ("::1", True),
        ("[::1]", True),
        ("fe80::1%eth0", True),
        ("::ffff:10.0.0.1", True),
        ("2002:7f00:1::", True),
        ("224.0.0.1", True),
        ("127.1", True),
        ("0x7f000001", True),
        ("2130706433", True),
        ("8.8.8.8", False),
        ("2606:4700:4700::1111", False),
        ("api.sync.so", False),
        ("10.example", False),
    ],
)
def test_what_is_private_is_known_by_its_text(host: str, private: bool) -> None:
    assert private_host(host) is private
