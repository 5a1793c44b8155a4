"""Rask's API v2: a video is dubbed into a language and lip-synced to its new speech."""

from __future__ import annotations

from viseme.providers.rask.adapter import Rask
from viseme.providers.rask.options import RaskOptions
from viseme.providers.rask.settings import RaskSettings

__all__ = ["Rask", "RaskOptions", "RaskSettings"]
