"""Sync's settings: what its sheet leaves open, each with the value that was assumed."""

from typing import Literal

import attrs

from ..limits import Rate
from .settings import VendorSettings, rate


@attrs.frozen(kw_only=True)
class SyncSettings(VendorSettings):
    """Sync's settings.

    Known and adjustable: the last published rates and the Scale plan's 15 seats. Processing is 1x real time after a
    10 s queue. Assumptions (the sheet found no text on them):

    Attributes:
        replay_status: The status of an idempotent replay (201, as the original).
        conflict_status: The status when a key comes back with another body (409).
        conflict_code: Its error code.
        idempotency_seconds: How long a key is remembered (24 h).
        retry_after: Whether a 429 carries a Retry-After header (no source says so: off).
        max_ids: How many ids one list call takes (no limit is documented: None); more is a 400.
        batches: The plan has batches (yes); else they are a 402.
        batch_create: Batches created per account and minute (no limit).
        batch_concurrency: Batches under way per account (2); one more is a 429.
        batch_seconds: How long a batch takes in all (15 minutes; the documented target is 24 hours).
        batch_pending_seconds, batch_created_seconds: How much of that it is PENDING, and then JOBS_CREATED.
        batch_input_seconds: The longest input of a record (30 s, documented); a longer one fails the record.
        batch_line: The shape of a line of the result: a `generation`, or a `brief` one.
        tts, tts_jobs: Speech made at once, and as jobs, per account (60/min each, as documented).
        speech_jobs: Speech jobs are open to the account (yes); else they are a 503.
        speech_seconds: How long a speech job takes.
        max_upload: The largest file in bytes (5 GiB); a larger one is a 422.
        http_webhooks: Webhooks may go to plain http (the vendor wants https).
    """

    create: Rate | None = attrs.field(default=Rate(100), converter=rate)
    read: Rate | None = attrs.field(default=Rate(600), converter=rate)
    upload: Rate | None = attrs.field(default=Rate(120), converter=rate)
    upload_seconds: float | None = 7 * 86_400.0
    concurrency: int | None = 15
    link_seconds: float | None = 7 * 86_400.0
    max_seconds: float | None = 1800.0
    replay_status: int = 201
    conflict_status: int = 409
    conflict_code: str = "IDEMPOTENCY_KEY_REUSED"
    idempotency_seconds: float = 86_400.0
    retry_after: bool = False
    max_ids: int | None = None
    batches: bool = True
    batch_create: Rate | None = attrs.field(default=None, converter=rate)
    batch_concurrency: int | None = 2
    batch_seconds: float = 900.0
    batch_pending_seconds: float = 20.0
    batch_created_seconds: float = 20.0
    batch_input_seconds: float | None = 30.0
    batch_line: Literal["generation", "brief"] = "generation"
    tts: Rate | None = attrs.field(default=Rate(60), converter=rate)
    tts_jobs: Rate | None = attrs.field(default=Rate(60), converter=rate)
    speech_jobs: bool = True
    speech_seconds: float = 6.0
    max_upload: int = 5 * 1024**3
    http_webhooks: bool = True
    webhook_secret: str = "whsec_sandbox"
