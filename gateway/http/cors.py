"""CORS: which web pages may use the API from a browser (Fetch standard, "CORS protocol")."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.schemas import API

ANY: Final = "*"
_EXPOSED: Final = ", ".join(
    (
        "X-Request-Id",
        "X-Command-Id",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "Retry-After",
        "Location",
        "Link",
    )
)
_ALLOWED_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id"
)
# The method that aiohttp gives a request that it could not parse.
_UNREADABLE: Final = "UNKNOWN"
_MAX_AGE: Final = "600"
"""Seconds for which a browser may keep the answer to a preflight."""


class Cors:
    """The headers for the allowed origins; none at all if there are none.

    No `Access-Control-Allow-Credentials`: a token is sent by the page, never by the browser itself.
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origins)

    @property
    def is_on(self) -> bool:
        return bool(self._origins)

    def allows(self, origin: str | None) -> bool:
        return origin is not None and (ANY in self._origins or origin in self._origins)

    def headers_for(self, request: web.BaseRequest) -> Mapping[str, str]:
        """The headers of any response to `request`."""
        if request.method == _UNREADABLE:
            return self.headers_without_request()
        if not self._origins or not request.path.startswith(f"{API}/"):
            return {}
        return self._headers(request.headers.get("Origin"))

    def headers_without_request(self) -> Mapping[str, str]:
        """The headers of a response to what is no well-formed request: its origin is unknown."""
        return self._headers(None) if ANY in self._origins else {}

    def _headers(self, origin: str | None) -> Mapping[str, str]:
        if ANY in self._origins:
            return {"Access-Control-Allow-Origin": ANY, "Access-Control-Expose-Headers": _EXPOSED}
        # Also without a match: a cache must not give one origin's response to another.
        vary = {"Vary": "Origin"}
        if origin not in self._origins:
            return vary
        return {
            **vary,
            "Access-Control-Allow-Origin": str(origin),
            "Access-Control-Expose-Headers": _EXPOSED,
        }


def answer_preflights(cors: Cors) -> Middleware:
    """Answer what a browser asks before a request. It has no token, and costs no budget.

    Must come before requests to unknown methods are counted.
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.get("Access-Control-Request-Method")
        error = request.match_info.http_exception
        if (
            request.method != "OPTIONS"
            or asked is None
            or not isinstance(error, web.HTTPMethodNotAllowed)
            or not cors.allows(request.headers.get("Origin"))
            or not request.path.startswith(f"{API}/")
        ):
            return await handler(request)
        headers = {
            "Access-Control-Allow-Methods": ", ".join(sorted(error.allowed_methods)),
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": _MAX_AGE,
        }
        return web.Response(status=204, headers=headers)

    return answer
