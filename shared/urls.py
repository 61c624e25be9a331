"""Service URLs as they may be shown to people."""

from yarl import URL


def without_password(url: str) -> str:
    """Return `url` with its password hidden, for messages and logs."""
    parsed = URL(url)
    return str(parsed.with_password("***") if parsed.password else parsed)
