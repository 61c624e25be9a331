"""Query parameters. Unknown ones are rejected, because they would have no effect."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.http.errors import invalid

UNKNOWN: Final = "is not a parameter of this request"


def refuse_unknown(request: web.Request) -> None:
    """For a call that has no query parameters. Raises ApiError 400 for any."""
    if problems := unknown(request):
        raise invalid(problems)


def unknown(request: web.Request, *known: str) -> dict[str, str]:
    """The problem with each parameter that is not one of `known`."""
    if not request.rel_url.raw_query_string:
        return {}  # the usual case
    problems = {name: UNKNOWN for name in request.query if name not in known}
    if problems.pop("", None):
        problems["query"] = "has a parameter without a name"
    return problems


def without_query(handler: Handler) -> Handler:
    """`handler`, but rejecting all query parameters."""

    async def handle(request: web.Request) -> web.StreamResponse:
        refuse_unknown(request)
        return await handler(request)

    return handle
