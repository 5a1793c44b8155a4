"""Where a command finds its configuration, its output folder and its ledger."""

from __future__ import annotations

import os

from attrs import frozen

from viseme import Config, parse_config
from viseme.cli.guard import Unusable, usable
from viseme.errors import ConfigError
from viseme.providers import adapter
from viseme.wording import quote

__all__ = ["CONFIG", "Places", "default_account", "load_config", "places"]

CONFIG = "viseme.toml"

_SAMPLE = """
    [accounts.sync]
    api_key = "$SYNC_API_KEY"
    concurrency = 3
"""


@frozen
class Places:
    """The output folder and the ledger of a command."""

    out: str
    ledger: str

    @property
    def results(self) -> str:
        """The file with a line per job."""
        return os.path.join(self.out, "results.jsonl")

    def make(self) -> None:
        """Make the output folder.

        Raises:
            Unusable: it cannot be one.
        """
        if os.path.exists(self.out) and not os.path.isdir(self.out):
            raise Unusable(f"--out {quote(self.out)} is a file; name a folder")
        with usable():
            os.makedirs(self.out, exist_ok=True)


def places(out: str | None, ledger: str | None) -> Places:
    """``--out`` and ``--ledger`` with their defaults: ``./out``, and ``viseme.db`` in it."""
    if out == "" or ledger == "":
        raise Unusable("--out and --ledger must not be empty; leave them out for the defaults")
    folder = out or "out"
    return Places(folder, ledger or os.path.join(folder, "viseme.db"))


def load_config(path: str | None) -> Config:
    """Read ``--config``, or ``viseme.toml`` in the working directory.

    Raises:
        ConfigError: it is missing, cannot be read, or says something wrong.
    """
    name = path or CONFIG
    try:
        with open(name, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        where = f"there is no configuration {quote(name)}" if path else f"there is no {CONFIG} in this folder"
        raise ConfigError(f"{where}; write one, or name it with --config:\n{_SAMPLE}") from None
    except OSError as error:
        raise ConfigError(f"{quote(name)} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{quote(name)} is not UTF-8 text; save it as UTF-8") from None
    config = parse_config(text, source=quote(name), environ=os.environ)
    try:
        for account in config.accounts:
            adapter(account)
    except ConfigError as error:
        raise ConfigError(f"{quote(name)}: {error}") from None
    return config


def default_account(config: Config, given: str | None) -> str | None:
    """The account of rows that name none: ``--account``, else the configuration's.

    Raises:
        Unusable: there is no such account.
    """
    known = [account.name for account in config.accounts]
    if given is not None and given not in known:
        raise Unusable(f"--account {quote(given)!r} is not configured; configured are {', '.join(known)}")
    return given or config.default_account
