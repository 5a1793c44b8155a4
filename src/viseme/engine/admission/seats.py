"""Seats: how many jobs may be under way at a vendor, counted until their end is seen, not until our interest ends."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from viseme.attempts import Seat

__all__ = ["Seats"]


@define(eq=False)
class Seats:
    """A pool's seats. What is taken here is written to the ledger with the intent, and outlives this process there."""

    limit: int
    clock: Callable[[], float]
    _taken: dict[str, Seat | None] = field(factory=dict[str, "Seat | None"])
    _changed: list[Callable[[], None]] = field(factory=list[Callable[[], None]])
    halved_until: float = 0.0

    @property
    def taken(self) -> int:
        """How many are taken."""
        return len(self._taken)

    @property
    def free(self) -> int:
        """How many more jobs may be started now."""
        limit = max(1, self.limit // 2) if self.clock() < self.halved_until else self.limit
        return max(0, limit - len(self._taken))

    def on_change(self, function: Callable[[], None]) -> None:
        """Call a function whenever a seat comes free."""
        self._changed.append(function)

    def take(self, name: str) -> bool:
        """Take a seat for an attempt that is about to be created; False if it has its seat already."""
        if name in self._taken:
            return False
        self._taken[name] = None
        return True

    def restore(self, seat: Seat) -> None:
        """Take up a seat that the ledger holds open, also beyond the limit: the vendor's count is what it is."""
        self._taken[seat.id] = seat

    def holds(self, name: str) -> bool:
        """Whether an attempt has a seat."""
        return name in self._taken

    def give_back(self, name: str) -> None:
        """The attempt's end was seen, or it never began."""
        if name in self._taken:
            del self._taken[name]
            self.changed()

    def set_limit(self, limit: int) -> None:
        """Change the limit; seats beyond it are given back as their jobs end."""
        self.limit = limit
        self.changed()

    def changed(self) -> None:
        """Tell that seats may have come free."""
        for function in self._changed:
            function()
