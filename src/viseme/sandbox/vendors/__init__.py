"""The vendors that the sandbox stands in for."""

from .aimlapi import AimlApi, AimlSettings
from .base import Vendor
from .jogg import Jogg, JoggSettings
from .settings import VendorSettings
from .sync import Sync, SyncSettings

VENDORS: dict[str, tuple[type[Vendor], type[VendorSettings]]] = {
    "sync": (Sync, SyncSettings),
    "jogg": (Jogg, JoggSettings),
    "aimlapi": (AimlApi, AimlSettings),
}
"""Each vendor under the root of its paths."""

__all__ = ["VENDORS", "AimlSettings", "JoggSettings", "SyncSettings", "Vendor", "VendorSettings"]
