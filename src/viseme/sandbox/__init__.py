"""The vendors' stand-in: real HTTP, real media, real bills, faults on demand.

    async with Sandbox(speed=60, faults="mild").serve() as address:
        ...  # Sync answers at f"{address}/sync", the key is "sandbox", sample media is under f"{address}/media/"

It needs the `media` extra (PyAV). It shares no code with the rest of viseme, so that neither hides the other's mistake.
"""

from . import _media_extra as _media_extra
from .app import Sandbox
from .clock import Clock, ManualClock
from .faults import Fault, Faults
from .limits import Rate
from .vendors import AimlSettings, JoggSettings, RaskSettings, SyncSettings, VendorSettings

__all__ = [
    "AimlSettings",
    "Clock",
    "Fault",
    "Faults",
    "JoggSettings",
    "ManualClock",
    "RaskSettings",
    "Rate",
    "Sandbox",
    "SyncSettings",
    "VendorSettings",
]
