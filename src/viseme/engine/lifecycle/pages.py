"""An account's queued tasks, read from the ledger a page at a time; none that arrives meanwhile is passed over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define

from viseme.attempts import TaskRow
from viseme.ledger.base import Rank

__all__ = ["Pages", "rank_of"]

_PAGE = 64
_FIRST: Rank = (-(2**63), 0)


def rank_of(row: TaskRow) -> Rank:
    """A task's place in its account's line."""
    return -row.job.priority, row.order


@define(eq=False, repr=False)
class Pages:
    """How far one reader has read an account's line.

    Attributes:
        queued: reads a page, as the ledger's ``queued`` does.
        first_run: tasks of older runs are left alone.
        more: there may be tasks that were not read.
        after: the last rank that was read; None where the next page is the first.
        reading: a page is being read.
    """

    queued: Callable[[str, int, Rank | None, int], Awaitable[list[TaskRow]]]
    account: str
    first_run: int
    more: bool
    after: Rank | None = None
    reading: bool = False
    _unseen: Rank | None = None
    """The first of those that arrived since the newest page was asked for."""

    def arrived(self, rank: Rank | None) -> bool:
        """A queued task was added, or came back, with this rank (None: any).

        Returns:
            whether it stands within what was read: all of it is read anew then.
        """
        within = rank is None or (self.after is not None and rank <= self.after)
        if within:
            self.after = None
        first = _FIRST if rank is None else rank
        self._unseen = first if self._unseen is None else min(self._unseen, first)
        self.more = True
        return within

    async def read(self) -> list[TaskRow]:
        """The next page; empty where a task came into it meanwhile, as the first is to be read again then."""
        self.more, self._unseen, after = False, None, self.after
        self.reading = True
        try:
            rows = await self.queued(self.account, self.first_run, after, _PAGE)
        finally:
            self.reading = False
        if rows:
            after = rank_of(rows[-1])
        if self._unseen is not None and after is not None and self._unseen <= after:
            self.after = None  # it came into what was being read, perhaps too late to be seen there
            return []
        self.after = after
        self.more = self.more or len(rows) == _PAGE
        return rows
