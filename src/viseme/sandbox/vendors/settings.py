"""The settings that every vendor has."""

from collections.abc import Sequence

import attrs

from ..limits import Rate


def rate(value: Rate | str | Sequence[float] | None) -> Rate | None:
    """Reads a rate setting; None stays no limit."""
    return Rate.of(value) if value is not None else None


@attrs.frozen(kw_only=True)
class VendorSettings:
    """What can be set for every vendor. Times are vendor seconds; None means no limit.

    Attributes:
        create, read, upload, post, logs: Exact sliding windows per request class, as `"100/min"`.
        concurrency: Jobs under way per account.
        credits: What the account has been granted, in the vendor's unit.
        queue_seconds: How long a job waits before it runs.
        fixed_seconds: The part of the processing that does not depend on the length.
        pace: Processing seconds per second of output.
        link_seconds: How long a result link lives.
        max_seconds: The longest input or output; longer jobs fail.
        max_body: The largest request body in bytes; a larger one is a 413.
        upload_seconds: How long a presigned upload link lives.
        asset_seconds: How long an uploaded file is kept.
        visible_seconds: How long a booked job cannot be read or listed yet (0; eventual consistency is not documented).
    """

    create: Rate | None = attrs.field(default=None, converter=rate)
    read: Rate | None = attrs.field(default=None, converter=rate)
    upload: Rate | None = attrs.field(default=None, converter=rate)
    post: Rate | None = attrs.field(default=None, converter=rate)
    logs: Rate | None = attrs.field(default=None, converter=rate)
    concurrency: int | None = None
    credits: float | None = None
    queue_seconds: float = 10.0
    fixed_seconds: float = 0.0
    pace: float = 1.0
    link_seconds: float | None = None
    max_seconds: float | None = None
    max_body: int | None = None
    upload_seconds: float | None = None
    asset_seconds: float | None = None
    visible_seconds: float = 0.0
