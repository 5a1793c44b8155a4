"""A vendor's customers: key, limits, jobs and bill of each."""

from typing import Any

import attrs

from .bill import Bill
from .jobs import Job, Phase
from .limits import Seats, Window


@attrs.define(eq=False)
class Account:
    """One customer of one vendor. The key `sandbox` is the vendor's own account; `sandbox-x` is another, `vendor-x`."""

    name: str
    bill: Bill = attrs.field(factory=Bill)
    windows: dict[str, Window] = attrs.field(factory=dict[str, Window])
    seats: Seats = attrs.field(factory=Seats)
    jobs: dict[str, Job] = attrs.field(factory=dict[str, Job], repr=False)
    replays: dict[str, tuple[str, Job]] = attrs.field(factory=dict[str, tuple[str, Job]], repr=False)
    spent: float = 0.0

    def window(self, name: str) -> Window:
        """The window of one request class."""
        return self.windows.setdefault(name, Window())

    def statement(self, now: float, money: dict[str, Any]) -> dict[str, Any]:
        """The account's bill as `GET /_sandbox/bill` shows it."""
        bill = self.bill
        throttled = {name: window.refused for name, window in self.windows.items()} | {"seats": self.seats.refused}
        return {
            "creates": bill.creates,
            "duplicates": bill.duplicates,
            "replays": bill.replays,
            **money,
            "succeeded": sum(job.phase(now) is Phase.DONE for job in self.jobs.values()),
            "failed": sum(job.phase(now) is Phase.FAILED for job in self.jobs.values()),
            "delivered": bill.delivered,
            "open": self.seats.count(now),
            "refused": bill.refused,
            "throttled": sum(throttled.values()),
            "throttled_by": throttled,
            "peak": {
                "seats": self.seats.peak,
                **{name: window.peak_passed for name, window in self.windows.items()},
                **{f"{name}_arrived": window.peak_arrived for name, window in self.windows.items()},
            },
        }


def account_name(vendor: str, key: str) -> str | None:
    """The account that a key opens, or None for a wrong key."""
    if key == "sandbox":
        return vendor
    return vendor + key.removeprefix("sandbox") if key.startswith("sandbox-") else None
