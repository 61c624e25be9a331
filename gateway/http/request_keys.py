"""What becomes known of a request while it is answered: the log, traces and headers tell it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from aiohttp import web

from shared.commands import CancelCommand


class RateLimitState(NamedTuple):
    """What a request left of its budget."""

    limit: int
    """Requests in a window."""
    used: int
    resets_at: int
    """Unix time."""
    resets_in: float
    """Seconds."""

    @property
    def headers(self) -> Mapping[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": str(self.resets_at),
        }


REQUEST_ID: Final = web.RequestKey("request_id", str)
CLIENT: Final = web.RequestKey("client", str)
"""Its address, where a proxy may stand between."""
SUBJECT: Final = web.RequestKey("subject", str)
"""Who holds its token."""
RATE_LIMIT: Final = web.RequestKey("rate_limit", RateLimitState)
COMMAND: Final = web.RequestKey("command", CancelCommand)
"""What it became."""


def client_of(request: web.BaseRequest) -> str | None:
    """The client's address, if need be that of the connection."""
    return request.get(CLIENT) or request.remote
