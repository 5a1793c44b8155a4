"""The steps of a job at Rask, which depend on where it starts. Source: fact sheet section 4."""

from __future__ import annotations

from viseme.providers.rask.options import RaskOptions

__all__ = ["FREE", "costs", "stages_of"]

FREE = frozenset({"media", "dub", "segments", "face", "ready"})
"""Stages that only wait for the vendor. ``ready`` is the wait between a preview and the whole."""

_PAID = frozenset({"project", "redub", "lipsync"})
"""Stages that cost minutes; a ``preview`` takes free ones only."""


def stages_of(options: RaskOptions) -> tuple[str, ...]:
    """The stages of a job with these options."""
    if options.project_id is None:
        dub = ("media", "project")
    else:
        dub = ("segments", "redub") if options.generate else ("dub",)
    runs = {False: ("lipsync",), True: ("preview",), "first": ("preview", "ready", "lipsync")}[options.preview]
    return (*dub, "face", *runs)


def costs(options: RaskOptions) -> bool:
    """Whether a job may cost minutes."""
    return not _PAID.isdisjoint(stages_of(options))
