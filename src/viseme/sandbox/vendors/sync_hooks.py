"""Sync's webhooks: one signed POST when a job or a batch has ended; no retry is documented, so none is made."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp

from ..jobs import Job

if TYPE_CHECKING:
    from .sync import Sync

_ABSENT = ("errorCode", "outputFileName", "projectId", "synthesizedAudioUrl")


def signature(secret: str, stamp: int, body: bytes) -> str:
    """The value of `Sync-Signature`: HMAC-SHA256 over the stamp, a dot and the raw body, keyed by the whole secret."""
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
    return f"t={stamp},v1={mac.hexdigest()}"


async def announce_job(vendor: "Sync", job: Job, url: str) -> None:
    """Posts the ended job to its webhook."""
    told = vendor.reading.told(job, vendor.house.clock.now(), job.origin)
    await announce(vendor, url, {name: value for name, value in told.items() if name not in _ABSENT})


async def announce(vendor: "Sync", url: str, told: Mapping[str, Any]) -> None:
    """Posts something to a webhook, signed."""
    body = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    sign = signature(vendor.settings.webhook_secret, int(time.time()), body)
    headers = {"Content-Type": "application/json", "Sync-Signature": sign}
    try:
        async with (
            asyncio.timeout(10),
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers=headers),
        ):
            return
    except (aiohttp.ClientError, TimeoutError):
        return
