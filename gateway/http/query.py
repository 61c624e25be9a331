"""The query of a request. What a call does not know is refused: it would be without effect."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.http.errors import invalid

UNKNOWN: Final = "is not a parameter of this call"


def refuse_unknown(request: web.Request) -> None:
    """For a call that has no query parameters. Raises ApiError 400 for any."""
    if problems := unknown(request):
        raise invalid(problems)


def unknown(request: web.Request, *known: str) -> dict[str, str]:
    """What is wrong with each parameter that is none of the `known`."""
    if not request.rel_url.raw_query_string:
        return {}  # as most
    problems = {name: UNKNOWN for name in request.query if name not in known}
    if problems.pop("", None):
        problems["query"] = "has a parameter without a name"
    return problems


def without_query(handler: Handler) -> Handler:
    """`handler`, for requests that have no query parameters."""

    async def handle(request: web.Request) -> web.StreamResponse:
        refuse_unknown(request)
        return await handler(request)

    return handle
