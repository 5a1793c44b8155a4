"""``viseme status``: how the jobs of a ledger stand, and what each account waits for. It only looks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

import viseme
from viseme.cli.figures import counted
from viseme.cli.guard import OK
from viseme.cli.reading import reading
from viseme.cli.settings import Places, places
from viseme.cli.standing import clock
from viseme.cli.summary import NEXT
from viseme.cli.tables import show
from viseme.events import timestamp
from viseme.ledger import Count
from viseme.results import Reason, State
from viseme.wording import quote

__all__ = ["status"]

_IN_FLIGHT = (State.PREPARING, State.CREATING, State.RECONCILING, State.WAITING, State.FETCHING)


@define
class _Account:
    """One account's jobs by state, the parked ones by reason, and its gates as the owner last wrote them."""

    states: dict[State, int] = field(factory=dict[State, int])
    parked: dict[Reason, int] = field(factory=dict[Reason, int])
    gates: Mapping[str, Any] = field(factory=dict[str, Any])

    def count(self, found: Count) -> None:
        state = State.PARKED if found.parked else found.state
        self.states[state] = self.states.get(state, 0) + found.tasks
        if found.parked:
            self.parked[found.parked] = self.parked.get(found.parked, 0) + found.tasks

    def sum(self, *states: State) -> int:
        return sum(self.states.get(state, 0) for state in states)


def status(*, out: str | None, ledger: str | None, as_json: bool) -> int:
    """Look at a ledger, whether or not a run is under way."""
    where = places(out, ledger)
    accounts = viseme.run(_look(where))
    now = time.time()
    if as_json:
        told = {name: _as_json(account, now) for name, account in accounts.items()}
        print(json.dumps({"ledger": where.ledger, "accounts": _finite(told)}, indent=2))
    else:
        _show(accounts, where, now)
    return OK


async def _look(where: Places) -> dict[str, _Account]:
    accounts: dict[str, _Account] = {}
    async with reading(where.ledger) as ledger:
        for found in await ledger.counts():
            accounts.setdefault(found.account, _Account()).count(found)
        for name, gates in (await ledger.gates()).items():
            accounts.setdefault(name, _Account()).gates = gates
    return dict(sorted(accounts.items()))


def _as_json(account: _Account, now: float) -> dict[str, Any]:
    gates = dict(account.gates)
    at = gates.pop("at", None)
    return {
        "jobs": sum(account.states.values()),
        "states": {str(state): number for state, number in account.states.items()},
        "parked": {str(reason): number for reason, number in account.parked.items()},
        "gates": gates or None,
        "gates_at": None if at is None else timestamp(at),
        "gates_age": _age(at, now),
    }


def _age(at: float | None, now: float) -> float | None:
    """Seconds since a moment; None where there is none that can be reckoned with."""
    try:
        return None if at is None else round(now - at, 3)
    except OverflowError:  # a whole number longer than any float
        return None


def _finite(told: object) -> object:
    """Null in the place of numbers that are none, which JSON has no words for."""
    return json.loads(json.dumps(told), parse_constant=lambda _: None)


def _show(accounts: Mapping[str, _Account], where: Places, now: float) -> None:
    jobs = sum(sum(account.states.values()) for account in accounts.values())
    print(f"{quote(where.ledger)}: {counted(jobs, 'job')}")
    show(("account", "queued", "in flight", "succeeded", "failed", "cancelled", "parked"), _counts(accounts))
    for name, account in accounts.items():
        for reason, number in account.parked.items():
            print(f"{quote(name)}: {number} parked ({reason}); {NEXT[reason]}")
    if any(account.gates for account in accounts.values()):
        print("\nwhat the accounts waited for when the ledger's owner last wrote it down:")
        show(("account", "seats", "next create", "until", "rates", "written"), list(_gates(accounts, now)))


def _counts(accounts: Mapping[str, _Account]) -> Iterable[Sequence[object]]:
    for name, account in accounts.items():
        ended = (account.sum(state) for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.PARKED))
        yield name, account.sum(State.QUEUED), account.sum(*_IN_FLIGHT), *ended


def _gates(accounts: Mapping[str, _Account], now: float) -> Iterable[Sequence[object]]:
    for name, account in accounts.items():
        gates = account.gates
        if gates:
            seats, create = gates.get("seats", {}), gates.get("create", {})
            waits = "nothing" if create.get("gate") is None else f"{create['gate']}: {quote(create.get('message'))}"
            until = create.get("until")
            yield (
                name,
                _seats(seats),
                waits,
                "-" if until is None else timestamp(until),
                _rates(gates.get("rates", {})),
                "-" if (age := _age(gates.get("at"), now)) is None else f"{clock(max(0.0, age))} ago",
            )


def _seats(seats: Mapping[str, Any]) -> str:
    stated = seats.get("stated", seats.get("limit"))
    learned = f" ({stated} stated)" if stated != seats.get("limit") else ""
    return f"{seats.get('taken')} of {seats.get('limit')}{learned}"


def _rates(rates: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    return "; ".join(_rate(name, window) for name, windows in rates.items() for window in windows) or "-"


def _rate(name: str, window: Mapping[str, Any]) -> str:
    waiting = f", {window['waiting']} wait" if window["waiting"] else ""
    slowed = f", slowed to {window['pace']}" if window.get("pace") else ""
    return f"{name} {window['rate']}{slowed}, room for {window['room']}{waiting}"
