"""Jobs' options as a provider's typed options. What many jobs state alike is read once (0.5 against 10 µs)."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from viseme.errors import JobInvalid
from viseme.jobs import Job
from viseme.providers.meanings import in_words_of
from viseme.strict import known_names, snake_names, structure

__all__ = ["Habits"]

_KEPT = 64
"""So many statements are remembered, each of up to ``_BRIEF`` bytes."""
_BRIEF = 1024


@define(eq=False, repr=False)
class Habits:
    """Reads the options of jobs for one account.

    Attributes:
        provider: its name; options that other vendors call something else are translated into its words.
        kind: its options' class, whose values never change.
    """

    provider: str
    kind: type[Any]
    _last: tuple[Job, Any] | None = None
    """The job whose options were read last, and what they came to."""
    _known: dict[tuple[bool, bytes], Any] = field(factory=dict[tuple[bool, bytes], Any])

    def read(self, job: Job) -> Any:
        """The job's options, typed.

        Raises:
            JobInvalid: an option is unknown or has a wrong value.
        """
        if self._last is not None and self._last[0] is job:
            return self._last[1]
        several = len(job.route) > 1
        said = _said(job.options)
        typed = None if said is None else self._known.get((several, said))
        if typed is None:
            typed = self._typed(job.options, several=several)
            if said is not None and len(self._known) < _KEPT:
                self._known[several, said] = typed
        self._last = job, typed
        return typed

    def _typed(self, options: Mapping[str, Any], *, several: bool) -> Any:
        try:
            given = snake_names(options)
            if several:
                given = in_words_of(self.provider, given, known_names(self.kind))
            return structure(given, self.kind)
        except ValueError as error:
            raise JobInvalid(f"options: {error}", field="options") from None
        except RecursionError:
            raise JobInvalid("options: nested too deeply", field="options") from None


def _said(options: Any) -> bytes | None:
    """What options say, to the type of each value: 1 is neither 1.0 nor true. None for long ones, and no plain JSON."""
    try:
        said = marshal.dumps(options, 2)  # the newest version that writes equal values alike
    except ValueError:
        return None
    return said if len(said) <= _BRIEF else None
