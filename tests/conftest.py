"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("viseme", deadline=None)  # that a machine is busy is no mistake of the code's
settings.load_profile("viseme")
