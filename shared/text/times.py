"""Times as people read them."""

from datetime import UTC, datetime


def readable_time(at: datetime) -> str:
    """A time in UTC, to the millisecond."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"
