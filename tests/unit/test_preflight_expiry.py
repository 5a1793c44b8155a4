"""Until when a signed link holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viseme.engine.preflight.expiry import expires_at

HOST = "https://bucket.example/clip.mp4"
SIGNED = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
AT = SIGNED.timestamp() + 3600


@pytest.mark.parametrize(
    ("query", "end"),
    [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261120T120000Z&X-Amz-Expires=3600&X-Amz-Signature=00", AT),
        ("x-amz-date=20261120T120000Z&x-amz-expires=3600", AT),
        ("X-Goog-Date=20261120T120000Z&X-Goog-Expires=3600", AT),
        ("x-oss-date=20261120T120000Z&x-oss-expires=3600", AT),
        (f"AWSAccessKeyId=A&Expires={AT:.0f}&Signature=s", AT),
        (f"Expires={AT:.0f}&Signature=s&Key-Pair-Id=k", AT),
        ("sv=2024-01-01&se=2026-11-20T13%3A00%3A00Z&sig=s", AT),
        ("se=2026-11-20&sig=s", datetime(2026, 11, 20, tzinfo=UTC).timestamp()),
        (f"exp={AT * 1000:.0f}", AT),
        (f"expires={AT:.0f}&X-Amz-Date=20261120T120000Z&X-Amz-Expires=60", SIGNED.timestamp() + 60),
        ("", None),
        ("expires=never", None),
        ("expires=3600", None),
        ("exp=99999999999999999999", None),
        ("X-Amz-Expires=3600", None),
        ("X-Amz-Date=20269999T999999Z&X-Amz-Expires=3600", None),
        ("X-Amz-Date=20261120T120000Z&X-Amz-Expires=soon", None),
        ("se=2026-99-99", None),
        ("experience=1763640000", None),
    ],
)
def test_the_end_of_a_signed_link_is_read_from_its_query(query: str, end: float | None) -> None:
    assert expires_at(f"{HOST}?{query}") == end


@given(st.text(max_size=200))
def test_no_query_whatever_breaks_it(query: str) -> None:
    found = expires_at(f"{HOST}?{query}")
    assert found is None or found > 0


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC)),
    st.integers(1, 604_800),
    st.sampled_from(["X-Amz", "X-Goog", "x-oss"]),
)
def test_a_signature_holds_from_its_date_on(signed: datetime, seconds: int, vendor: str) -> None:
    query = f"{vendor}-Date={signed:%Y%m%dT%H%M%SZ}&{vendor}-Expires={seconds}"
    assert expires_at(f"{HOST}?{query}") == (signed + timedelta(seconds=seconds)).timestamp()
