"""AI/ML API's side calls: balances, the catalogue, and the request logs."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..accounts import Account
from ..jobs import Job, Phase
from .wire import Call, Endpoint, Refusal, reply

if TYPE_CHECKING:
    from .aimlapi import AimlApi

MODEL = "pixverse/lip-sync"
CREDITS_PER_USD = 2_000_000
_PERIOD = re.compile(r"([1-9]\d*)([hd])")


class AimlBooks:
    """What an account can read about its money and its requests."""

    def __init__(self, vendor: "AimlApi") -> None:
        self._vendor = vendor

    def endpoints(self) -> Sequence[Endpoint]:
        """The logs have a rate of their own; the catalogue asks for no key."""
        read = ("read",)
        return (
            Endpoint("GET", "/v1/models", "models", self._models, key=False),
            Endpoint("GET", "/v2/billing", "billing", self._billing, read),
            Endpoint("GET", "/v2/billing/detail", "billing", self._billing_detail, read),
            Endpoint("GET", "/v1/billing/balance", "billing", self._balance, read),
            Endpoint("GET", "/v2/logs", "logs", self._logs, ("logs",)),
        )

    def _usd_left(self, account: Account) -> float:
        left = self._vendor.left(account)
        return round((1e12 if left is None else left) / CREDITS_PER_USD, 6)

    async def _billing(self, call: Call) -> web.StreamResponse:
        """GET /v2/billing."""
        return reply({"current_balance": self._usd_left(call.account), "currency": "USD"})

    async def _billing_detail(self, call: Call) -> web.StreamResponse:
        """GET /v2/billing/detail."""
        name = call.account.name
        return reply(
            {
                "user_id": 1, "email": f"{name}@example.com", "current_balance": self._usd_left(call.account),
                "currency": "USD",
                "autotopup_settings": {"is_enabled": False, "threshold": 0, "amount": 0, "currency": "USD"},
            }
        )  # fmt: skip

    async def _balance(self, call: Call) -> web.StreamResponse:
        """GET /v1/billing/balance, the older one, in credits."""
        credits = int(self._usd_left(call.account) * CREDITS_PER_USD)
        return reply(
            {
                "balance": credits, "lowBalance": credits < 10_000, "lowBalanceThreshold": 10_000,
                "lastUpdated": self._vendor.house.clock.iso(call.now), "autoDebitStatus": "disabled",
                "status": "current", "statusExplanation": "The balance is up to date",
            }
        )  # fmt: skip

    async def _models(self, call: Call) -> web.StreamResponse:
        """GET /v1/models, without a key."""
        model: dict[str, Any] = {
            "id": MODEL, "type": "video", "info": {"name": "Lip Sync", "developer": "PixVerse", "description": ""},
            "features": [], "endpoints": ["/v2/video/generations"],
        }  # fmt: skip
        if "pricing" in call.request.query.get("include", ""):
            price = self._vendor.settings.price / CREDITS_PER_USD
            model["pricing"] = [{"kind": "fixed", "price": price, "per": "request"}]
        wanted = call.request.query.get("id")
        return reply({"object": "list", "data": [model] if wanted in (None, MODEL) else []})

    async def _logs(self, call: Call) -> web.StreamResponse:
        """GET /v2/logs: newest first, paged by offset; late, and perhaps without running jobs."""
        query = call.request.query
        limit, offset = _number(query.get("limit"), 50), _number(query.get("offset"), 0)
        period = _PERIOD.fullmatch(query.get("period", "24h"))
        if period is None or limit is None or offset is None or not 1 <= limit <= 100:
            raise Refusal(self._vendor.no(call.request, 400, "period, limit or offset is out of range"))
        since = call.now - int(period[1]) * (3600 if period[2] == "h" else 86_400)
        rows = [job for job in reversed(call.account.jobs.values()) if since <= job.at and self._logged(job, call.now)]
        rows = rows if query.getall("model", [MODEL]).count(MODEL) else []
        page = [self._log_row(job, call.now) for job in rows[offset : offset + limit]]
        more = offset + limit < len(rows)
        return reply(
            {"data": page, "pagination": {"limit": limit, "offset": offset, "total": len(rows), "has_more": more}}
        )

    def _logged(self, job: Job, now: float) -> bool:
        if not self._vendor.settings.log_running and not job.phase(now).ended:
            return False
        return job.at + self._vendor.settings.log_seconds <= now

    def _log_row(self, job: Job, now: float) -> dict[str, Any]:
        failed = job.phase(now) is Phase.FAILED
        credits = 0 if failed else job.body["price"]
        return {
            "created": self._vendor.house.clock.iso(job.at), "status": "failed" if failed else "succeeded",
            "origin": "api", "model": MODEL, "cost": {"usd": credits / CREDITS_PER_USD, "credits": credits},
            "tokens": {"input": 0, "output": 0, "total": 0}, "request_id": job.token, "inference_id": job.id,
            "client_request_id": job.reference,
        }  # fmt: skip


def _number(text: str | None, default: int) -> int | None:
    if text is None:
        return default
    return int(text) if text.isdigit() else None
