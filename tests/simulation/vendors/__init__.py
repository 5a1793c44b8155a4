"""The vendors' stand-ins in memory, each written from its fact sheet and apart from the adapters."""

from __future__ import annotations

from tests.simulation.vendors.aimlapi import Aimlapi
from tests.simulation.vendors.base import Vendor
from tests.simulation.vendors.jogg import Jogg
from tests.simulation.vendors.rask import Rask
from tests.simulation.vendors.sync import Sync

__all__ = ["VENDORS"]

VENDORS: dict[str, type[Vendor]] = {vendor.name: vendor for vendor in (Sync, Jogg, Aimlapi, Rask)}
"""By name, which is also the provider's and the account's."""
