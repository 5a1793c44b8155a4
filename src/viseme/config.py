"""The configuration: accounts with their keys and limits, read from ``viseme.toml`` or made in code."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen

from viseme.addresses import private_host
from viseme.errors import ConfigError
from viseme.money import Budget, Price
from viseme.strict import known_names, structure
from viseme.units import Rate, Seconds, duration, rates
from viseme.wording import quote

__all__ = ["RATE_CLASSES", "Account", "Config", "Downloads", "Polling", "parse_config"]

RATE_CLASSES = ("create", "read", "upload", "post", "all")
"""What a rate can count: creates, status reads, uploads, every POST, every request."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
T = TypeVar("T")
Fate = Literal["ask", "fail", "resubmit"]
Mode = Literal["single", "batch"]


def _seconds(value: str | float | timedelta | None) -> float | None:
    return None if value is None else duration(value)


def _at_least_one(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ConfigError(f"{attribute.name} must be at least 1; leave it out for the default")


def _some_time(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value:
        raise ConfigError(f"{attribute.name} must be more than 0s; leave it out for the default")


@frozen(kw_only=True)
class Polling:
    """How an account's tasks are looked at; durations are seconds, or text like ``"10s"``.

    Attributes:
        first: from the create to the first look; default: what was learnt of how long jobs take, the vendor's advice
            until then.
        every: between looks; default: likewise. Whoever gives it gets the vendor's advice for a ``first`` left out.
        deadline: how long a task may take in all before it is parked; default: the provider's.
        queue_deadline: how long it may be queued at the vendor; default: no bound of its own.
        run_deadline: how long it may run at the vendor; default: no bound of its own.
        bulk: look at up to 100 tasks in one request where the vendor can list them.
    """

    first: Seconds | None = field(default=None, converter=_seconds)
    every: Seconds | None = field(default=None, converter=_seconds)
    deadline: Seconds | None = field(default=None, converter=_seconds)
    queue_deadline: Seconds | None = field(default=None, converter=_seconds)
    run_deadline: Seconds | None = field(default=None, converter=_seconds)
    bulk: bool = True


@frozen(kw_only=True)
class Downloads:
    """How results are fetched.

    Attributes:
        concurrency: downloads under way at once.
        covers: also keep the cover image, as ``<name>.jpg``; a cover never fails a task.
        max_bytes: a result larger than this is refused.
        stall: a download that brings no byte for so many seconds is taken up anew.
        tries: how often a download may break off without progress before the task is parked.
    """

    concurrency: int = field(default=16, validator=_at_least_one)
    covers: bool = False
    max_bytes: int = field(default=20 * 1024**3, validator=_at_least_one)
    stall: Seconds = field(default=30.0, converter=duration, validator=_some_time)
    tries: int = field(default=8, validator=_at_least_one)


def _rate_table(value: object) -> dict[str, tuple[Rate, ...]]:
    table: dict[str, tuple[Rate, ...]] = {}
    if value is None:
        return table
    if not isinstance(value, Mapping):
        raise ConfigError('rates: must be a table like { create = "100/min" }')
    for name, given in cast("Mapping[str, Any]", value).items():
        if name not in RATE_CLASSES:
            raise ConfigError(f"rates.{quote(name)}: unknown name; known are {', '.join(RATE_CLASSES)}")
        try:
            table[name] = rates(given)
        except ValueError as error:
            raise ConfigError(f"rates.{name}: {error}") from None
    return table


def _price_table(value: object) -> dict[str, Price]:
    """Prices by model; ``""`` stands for every model."""
    given: Mapping[str, Any] = {} if value is None else {"": value}
    if isinstance(value, Mapping):
        given = cast("Mapping[str, Any]", value)
    table: dict[str, Price] = {}
    for name, stated in given.items():
        try:
            table[name] = stated if isinstance(stated, Price) else Price.parse(stated)
        except ValueError as error:
            raise ConfigError(f"price{f'.{quote(name)}' if name else ''}: {error}") from None
    return table


def _budgets(value: object) -> tuple[Budget, ...]:
    several = cast("Sequence[Any]", value if isinstance(value, (list, tuple)) else [] if value is None else [value])
    try:
        return tuple(one if isinstance(one, Budget) else Budget.parse(one) for one in several)
    except ValueError as error:
        raise ConfigError(f"budget: {error}") from None


@frozen(init=False)
class Account:
    """One configured provider with its key and limits.

    Args:
        provider: the provider's name: ``sync``, ``jogg``, ``aimlapi``, ``rask``, or one that a plug-in brings.
        name: the account's own name; default: the provider's.
        api_key: the vendor's key (Rask has ``client_id`` and ``client_secret`` instead). It is sent to ``base_url``
            only, and shown nowhere.
        base_url: where the vendor's API is; may carry a path.
        concurrency: seats, i.e. jobs under way at the vendor at once.
        seat_ttl: a seat whose job nothing is heard of (its create's fate is unknown) is given up after so long;
            default: the longest that a job of this vendor may take.
        pool: accounts with the same pool share seats, rates and budget.
        allow_private_hosts: let this account reach private, loopback and link-local addresses.
        on_unknown_fate: what to do when a create's reply is lost and nothing tells what became of it: ``ask`` parks
            the task for a person, ``fail`` ends it, ``resubmit`` pays again.
        attempts: how often a job may be created in all, when the vendor fails it and says no charge is likely.
        pay_again: make further attempts even where a charge is likely.
        mode: ``batch`` creates many jobs with one request where the vendor has batches (Sync: 20 to 500 jobs, done
            within a day, beside the seats); ``single`` creates each by itself.
        price: what a job costs, where the vendor publishes nothing or your contract says otherwise:
            ``"0.05 usd/s"``, or a table of them by model.
        budget: how much may be spent at the account: ``"25usd"``, ``"500 credits/day"`` (UTC days), or a list.
        rates: requests per window, by class (``create``, ``read``, ``upload``, ``post``, ``all``).
        polling: how tasks are looked at.
        extra_models: models newer than this release.
        settings: the provider's own settings.
    """

    provider: str
    name: str
    api_key: str | None = field(repr=False)
    base_url: str | None
    concurrency: int | None
    seat_ttl: float | None
    pool: str
    allow_private_hosts: bool
    on_unknown_fate: Fate
    attempts: int
    pay_again: bool
    mode: Mode
    price: Mapping[str, Price]
    budget: tuple[Budget, ...]
    rates: Mapping[str, tuple[Rate, ...]]
    polling: Polling
    extra_models: tuple[str, ...]
    settings: Mapping[str, Any] = field(repr=False)

    def __init__(
        self,
        provider: str,
        *,
        name: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        concurrency: int | None = None,
        seat_ttl: str | float | timedelta | None = None,
        pool: str | None = None,
        allow_private_hosts: bool = False,
        on_unknown_fate: Fate = "ask",
        attempts: int = 1,
        pay_again: bool = False,
        mode: Mode = "single",
        price: str | Price | Mapping[str, str | Price] | None = None,
        budget: str | Budget | Sequence[str | Budget] = (),
        rates: Mapping[str, Any] | None = None,
        polling: Polling | Mapping[str, Any] | None = None,
        extra_models: tuple[str, ...] | list[str] = (),
        **settings: Any,
    ) -> None:
        if not isinstance(api_key, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError("api_key must be text")  # and is not quoted
        given = {
            "provider": provider,
            "name": name or provider,
            "api_key": api_key,
            "base_url": base_url,
            "concurrency": concurrency,
            "seat_ttl": seat_ttl,
            "pool": pool,
            "allow_private_hosts": allow_private_hosts,
            "on_unknown_fate": on_unknown_fate,
            "attempts": attempts,
            "pay_again": pay_again,
            "mode": mode,
            "extra_models": extra_models,
        }
        typed = _section(_AccountTable, given)
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
            **{key: getattr(typed, key) for key in known_names(_AccountTable) if key not in ("base_url", "pool")},
            base_url=None if base_url is None else _checked_base(base_url, private=allow_private_hosts),
            pool=typed.pool or typed.name,
            price=_price_table(price),
            budget=_budgets(budget),
            rates=_rate_table(rates),
            polling=polling if isinstance(polling, Polling) else _section(Polling, polling or {}, "polling"),
            settings=settings,
        )


def _account_name(_: object, __: object, value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ConfigError(f"{quote(value)!r} is not an account name; use letters, digits, '.', '_' and '-'")


@frozen(kw_only=True)
class _AccountTable:
    """The account's own fields, typed; whatever else is given is the provider's."""

    provider: str
    name: str = field(validator=_account_name)
    api_key: str | None
    base_url: str | None
    concurrency: int | None = field(validator=_at_least_one)
    seat_ttl: Seconds | None
    pool: str | None
    allow_private_hosts: bool
    on_unknown_fate: Fate
    attempts: int = field(validator=_at_least_one)
    pay_again: bool
    mode: Mode
    extra_models: tuple[str, ...]


@frozen(kw_only=True)
class Config:
    """All that ``viseme.toml`` says."""

    accounts: tuple[Account, ...] = ()
    default_account: str | None = None
    downloads: Downloads = field(factory=Downloads)


def parse_config(text: str, *, source: str, environ: Mapping[str, str]) -> Config:
    """Read a configuration.

    Args:
        text: TOML.
        source: the file's name, for messages.
        environ: what ``$NAME`` values are read from.

    Raises:
        ConfigError: the message names the file, the field and the next step.
    """
    try:
        return _config(tomllib.loads(text), environ)
    except RecursionError:
        raise ConfigError(f"{source}: this is nested too deeply; viseme reads tables in tables, not more") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: this is not TOML: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


def _config(tree: dict[str, Any], environ: Mapping[str, str]) -> Config:
    _refuse_unknown(tree, ("accounts", "default_account", "downloads"), "")
    tables = tree.get("accounts", {})
    if not isinstance(tables, dict) or not tables:
        raise ConfigError('no account is configured; add a table like [accounts.sync] with api_key = "$SYNC_API_KEY"')
    accounts = tuple(_account(name, table, environ) for name, table in cast("dict[str, Any]", tables).items())
    default = tree.get("default_account")
    if default is not None and default not in [account.name for account in accounts]:
        raise ConfigError(
            f"default_account: {quote(default)!r} is not configured;"
            f" configured are {', '.join(account.name for account in accounts)}"
        )
    downloads = _section(Downloads, tree.get("downloads", {}), "downloads")
    return Config(accounts=accounts, default_account=default, downloads=downloads)


def _account(name: str, table: object, environ: Mapping[str, str]) -> Account:
    place = f"accounts.{quote(name)}"
    if not isinstance(table, dict):
        raise ConfigError(f"{place}: must be a table")
    given = cast("dict[str, Any]", table)
    values = {key: _expand(value, f"{place}.{quote(key)}", environ) for key, value in given.items()}
    odd = next((key for key in ("name", "self") if key in values), None)
    if odd is not None:
        raise ConfigError(f"{place}: leave {odd} out; the table's own name is the account's")
    try:
        return Account(values.pop("provider", name), name=name, **values)
    except ConfigError as error:
        raise ConfigError(_placed(place, str(error))) from None


def _expand(value: Any, place: str, environ: Mapping[str, str]) -> Any:
    match = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    if not environ.get(match[1]):
        raise ConfigError(
            f"{place} reads the environment variable {match[1]}, which is not set; export it, or write the value"
        )
    return environ[match[1]]


def _section(kind: type[T], table: object, place: str = "") -> T:
    try:
        return structure(table, kind)
    except ValueError as error:
        raise ConfigError(_placed(place, str(error))) from None


def _placed(place: str, message: str) -> str:
    """``message`` with the table that it is about in front of its field."""
    if not place:
        return message
    return f"{place}.{message}" if re.match(r"[\w\[\]./-]+(:| is missing)", message) else f"{place}: {message}"


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    unknown = [name for name in table if name not in known]
    if unknown:
        raise ConfigError(f"{place}unknown name {quote(unknown[0])!r}; known are {', '.join(known)}")


def _checked_base(url: str, *, private: bool) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"base_url: {quote(url)!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"base_url: {quote(url)!r} must start with https:// (or http://) and name a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("base_url: leave out user names, passwords, queries and fragments")
    if private_host(host) and not private:
        raise ConfigError(
            f"base_url: {quote(host)} is a private address;"
            " set allow_private_hosts = true if that is where the vendor is"
        )
    if parts.scheme == "http" and not private:
        raise ConfigError(
            "base_url: the key would travel unencrypted; use https://,"
            " or set allow_private_hosts = true for a local host"
        )
    return url.rstrip("/")
