"""The durable record of tasks, intents, handles, seats and events."""

from viseme.ledger.base import Change, Count, Ledger, Listener, Order, Rank
from viseme.ledger.memory import MemoryLedger
from viseme.ledger.memory_disk import MemoryDisk
from viseme.ledger.sqlite import SqliteLedger

__all__ = ["Change", "Count", "Ledger", "Listener", "MemoryDisk", "MemoryLedger", "Order", "Rank", "SqliteLedger"]
