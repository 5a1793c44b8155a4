"""The vendors that the sandbox stands in for."""

from .aimlapi import AimlApi, AimlSettings
from .base import Vendor
from .jogg import Jogg, JoggSettings
from .rask import Rask
from .rask_settings import RaskSettings
from .settings import VendorSettings
from .sync import Sync, SyncSettings

VENDORS: dict[str, tuple[type[Vendor], type[VendorSettings]]] = {
    "sync": (Sync, SyncSettings),
    "jogg": (Jogg, JoggSettings),
    "aimlapi": (AimlApi, AimlSettings),
    "rask": (Rask, RaskSettings),
}
"""Each vendor under the root of its paths."""

__all__ = ["VENDORS", "AimlSettings", "JoggSettings", "RaskSettings", "SyncSettings", "Vendor", "VendorSettings"]
