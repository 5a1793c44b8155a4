"""Sync (sync.so) lip sync API v2."""

from __future__ import annotations

from viseme.providers.sync.adapter import Sync, SyncSettings
from viseme.providers.sync.options import (
    ActiveSpeaker,
    AudioInput,
    SegmentOptions,
    SyncOptions,
    SyncSegment,
    SyncVoice,
)

__all__ = [
    "ActiveSpeaker",
    "AudioInput",
    "SegmentOptions",
    "Sync",
    "SyncOptions",
    "SyncSegment",
    "SyncSettings",
    "SyncVoice",
]
