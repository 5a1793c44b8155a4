"""What each account was sold: creates, duplicates, money, deliveries."""

import hashlib
import json

import attrs


def digest_of(inputs: object) -> str:
    """The digest of a job's inputs in one canonical spelling."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@attrs.define
class Bill:
    """One account's counters.

    Attributes:
        creates: Jobs booked. A replay of an idempotency key is not one.
        duplicates: Creates whose inputs equal those of an earlier create of this account.
        replays: Creates answered with a job that an idempotency key already stood for.
        delivered: Jobs whose result left in full at least once (in one piece or in ranges).
        refused: Requests turned away for any other reason than a limit.
    """

    creates: int = 0
    duplicates: int = 0
    replays: int = 0
    delivered: int = 0
    refused: int = 0
    _inputs: set[str] = attrs.field(factory=set[str], repr=False)

    def book(self, inputs: object) -> bool:
        """Counts a create and says whether the same inputs were bought before."""
        digest = digest_of(inputs)
        again = digest in self._inputs
        self._inputs.add(digest)
        self.creates += 1
        self.duplicates += again
        return again
