"""Rask's settings: what its sheet leaves open, each with the value that was assumed."""

from typing import Literal

import attrs

from ..limits import Rate
from .settings import VendorSettings, rate


@attrs.frozen(kw_only=True)
class RaskSettings(VendorSettings):
    """Rask's settings. Times are vendor seconds, `credits` are minutes.

    No number of Rask's is published but the free minute. Assumptions:

    Attributes:
        all: Requests to the API per account (120/min); token requests and downloads do not count.
        token: Token requests per account (no limit).
        concurrency: Lip-syncs under way per account (no limit); one more is a 429.
        dub_concurrency: Dubs under way per account (no limit); one more is a 429.
        credits: The account's minutes, for dubs and lip-syncs alike (1000).
        videos: The `video` counter's total; a project takes one.
        free_minutes: The account's free lip-sync minutes (1).
        preview_seconds: How much of the video a free lip-sync covers (60).
        refund_failed: Minutes of failed dubs and lip-syncs are given back (no).
        token_seconds: How long an access token lives (1 h). `expires_in` is told on the client's clock.
        token_generation: Tokens issued under another generation are revoked: change it to revoke all.
        media_seconds: How long a media file is processed.
        dub_seconds, dub_pace: How long a dub takes: a fixed part, and seconds per second of video.
        dub_failure: The status with which dubs fail (`no_words`, `translation_failed`, ...); None: they do not.
        segment_seconds: How long an edited segment is `processing` before it is `updated`.
        edited_status: An edit moves a project's status to `transcript_edited` or `voice_edited`.
        stale_dub_seconds: How long `generate` leaves the old `merging_done` in sight (0: not at all).
        stale_lipsync_seconds: How long another run leaves the old `done` and its link in sight (0: not at all).
        late_link_seconds: How long after `merging_done` or `done` the link is still null (0).
        fresh_links: Every look signs its links anew, as presigned links are.
        face_check: Whether the face check begins by itself after the first dub (`auto`) or not (`never`).
        face_late_seconds: How long after the dub it begins by itself.
        face_seconds: How long it takes.
        face: What it finds: a face (`found`), none (`none`), or it fails (`failed`).
        queue_length: The tasks that stand ahead of a lip-sync when it is booked; they go evenly over `queue_seconds`.
        outdated: A lip-sync of an older dub is shown as `outdated`; else it stays `done`.
        on_repeat: A second run of one version and mode: `refuse`, `run` again for nothing, or `charge` again.
        default_multiple, default_free: What a flag that is missing or null stands for.
        refused_status: The status for what the state of a project does not allow (400; or 409).
        no_minutes_status: The status when minutes run out (402; or 403).
        retry_after: A 429 carries Retry-After.
        part_name: The name of an upload's file part.
    """

    all: Rate | None = attrs.field(default=Rate(120), converter=rate)
    token: Rate | None = attrs.field(default=None, converter=rate)
    credits: float | None = 1000.0
    queue_seconds: float = 20.0
    fixed_seconds: float = 10.0
    link_seconds: float | None = 3600.0
    dub_concurrency: int | None = None
    videos: int = 1000
    free_minutes: int = 1
    preview_seconds: float = 60.0
    refund_failed: bool = False
    token_seconds: float = 3600.0
    token_generation: int = 0
    media_seconds: float = 5.0
    dub_seconds: float = 40.0
    dub_pace: float = 1.0
    dub_failure: str | None = None
    segment_seconds: float = 4.0
    edited_status: bool = True
    stale_dub_seconds: float = 8.0
    stale_lipsync_seconds: float = 8.0
    late_link_seconds: float = 0.0
    fresh_links: bool = True
    face_check: Literal["auto", "never"] = "auto"
    face_late_seconds: float = 0.0
    face_seconds: float = 6.0
    face: Literal["found", "none", "failed"] = "found"
    queue_length: int = 3
    outdated: bool = True
    on_repeat: Literal["refuse", "run", "charge"] = "refuse"
    default_multiple: bool = True
    default_free: bool = False
    refused_status: int = 400
    no_minutes_status: int = 402
    retry_after: bool = True
    part_name: str = "data"
