"""Questions to the reading connection: those that come while one hop off the event loop is under way share the next."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from viseme.errors import LedgerError
from viseme.ledger import files

__all__ = ["Blocking", "Reading"]

T = TypeVar("T")

Blocking = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function off the event loop."""

Question = Callable[[sqlite3.Connection], Any]


class Reading:
    """Owns the reading connection's time: one question at a time, however many ask.

    A caller that is cancelled leaves its question behind; the connection is free when ``close`` returns.

    Args:
        path: for messages.
    """

    def __init__(self, path: str, blocking: Blocking) -> None:
        self._path = path
        self._blocking = blocking
        self._connection: sqlite3.Connection | None = None
        self._pending: list[tuple[Question, asyncio.Future[Any]]] = []
        self._pump: asyncio.Task[None] | None = None

    def start(self, connection: sqlite3.Connection) -> None:
        """Begin to answer."""
        self._connection = connection

    async def stop(self) -> None:
        """Take no more questions, and wait for the last answer."""
        while self._pump is not None:
            await asyncio.wait([self._pump])
        self._connection = None

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to a question, found off the event loop.

        Raises:
            LedgerError: the ledger is not open, or the disk refuses.
        """
        if self._connection is None:
            raise LedgerError(f"the ledger {self._path} is not open; use it inside `async with`")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._pending.append((question, future))
        if self._pump is None:
            self._pump = loop.create_task(self._drain(self._connection), name="viseme ledger: read")
        return await future

    async def _drain(self, connection: sqlite3.Connection) -> None:
        asked: list[tuple[Question, asyncio.Future[Any]]] = []
        try:
            while self._pending:
                asked, self._pending = self._pending, []
                questions = [question for question, _ in asked]
                answers = await self._blocking(lambda questions=questions: self._answer(connection, questions))
                for (_, future), answer in zip(asked, answers, strict=True):
                    _give(future, answer)
        finally:
            self._pump = None
            for _, future in (*asked, *self._pending):
                future.cancel()  # only where the event loop itself is being torn down: the rest is answered
            self._pending = []

    def _answer(self, connection: sqlite3.Connection, questions: Sequence[Question]) -> list[Any]:
        answers: list[Any] = []
        for question in questions:
            try:
                answers.append(question(connection))
            except Exception as error:
                answers.append(files.explain(self._path, error))
        return answers


def _give(future: asyncio.Future[Any], answer: object) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
