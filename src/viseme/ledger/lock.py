"""One owner at a time: an OS lock on a file beside the ledger, which the kernel frees when its holder dies."""

from __future__ import annotations

import errno
import os
import sys
from typing import Final
from weakref import WeakSet

from viseme.errors import LedgerBusy, LedgerError, no_room

__all__ = ["OwnerLock"]

_BYTE: Final = 1 << 30
"""What is locked on Windows, where locked bytes cannot be read: far beyond the pid."""

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(fd: int) -> None:
        os.lseek(fd, _BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


_BUSY: Final = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})


class OwnerLock:
    """The right to write a ledger.

    Args:
        path: of the ledger; the lock is the file ``<path>.lock``, which stays when it is free.
    """

    def __init__(self, path: str) -> None:
        self._ledger = path
        self._path = f"{path}.lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take it, or say who has it.

        Raises:
            LedgerBusy: another process has it, or this one already.
            LedgerError: the file cannot be opened, or its file system knows no locks.
            OSError: it cannot be written.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            step = "free some space" if no_room(error) else "make its folder writable"
            raise LedgerError(f"the ledger's lock {self._path} cannot be opened ({error.strerror}); {step}") from error
        try:
            _lock(fd)
        except OSError as error:
            refusal = self._refusal(fd, error)
            os.close(fd)
            raise refusal from None
        self._fd = fd
        _held.add(self)
        try:
            os.truncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, b"%d\n" % os.getpid())
        except OSError:  # a full disk
            self.release()
            raise

    def _refusal(self, fd: int, error: OSError) -> LedgerError:
        if error.errno not in _BUSY:
            return LedgerError(
                f"the ledger's lock {self._path} cannot be taken ({error.strerror}); put the ledger on a local disk"
            )
        pid = _pid(fd)
        if pid == os.getpid():
            step = "owned by this process already; share its scheduler"
        else:
            owner = "another process" if pid is None else f"process {pid}"
            step = f"owned by {owner}; wait for it to end, stop it, or name another ledger"
        return LedgerBusy(f"the ledger {self._ledger} is {step}", pid=pid)

    def release(self) -> None:
        """Give it back, if it is held."""
        fd, self._fd = self._fd, None
        _held.discard(self)
        if fd is not None:
            os.truncate(fd, 0)
            os.close(fd)

    def disown(self) -> None:
        """Let go of a copy that a fork made: the parent holds the lock, and no child may keep it beyond that."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


_held: WeakSet[OwnerLock] = WeakSet()


def _pid(fd: int) -> int | None:
    os.lseek(fd, 0, os.SEEK_SET)
    text = os.read(fd, 20).strip()
    return int(text) if text.isdigit() else None


def _after_fork() -> None:
    for lock in list(_held):
        lock.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
