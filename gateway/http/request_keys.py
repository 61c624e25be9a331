"""Facts about a request that later go into the log, traces and headers."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from aiohttp import web

from shared.commands import CancelCommand


class RateLimitState(NamedTuple):
    """The state of the budget after a request."""

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
"""The client's address, also behind a proxy."""
SUBJECT: Final = web.RequestKey("subject", str)
"""The holder of the token."""
RATE_LIMIT: Final = web.RequestKey("rate_limit", RateLimitState)
COMMAND: Final = web.RequestKey("command", CancelCommand)
"""The command that the request became."""


def client_of(request: web.BaseRequest) -> str | None:
    """The client's address or, if it is not known yet, that of the connection."""
    return request.get(CLIENT) or request.remote
