"""Query parameters. Unknown ones are rejected, because they would have no effect."""

import re
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.http.errors import invalid
from shared.limits import MAX_LABELS
from shared.states import RunStatus

MAX_WAIT: Final = 30.0
"""The longest `wait`, seconds."""
BAD_WAIT: Final = f"must be given once, as seconds from 0 to {MAX_WAIT:g}"
UNKNOWN: Final = "is not a parameter of this request"
BAD_STATUS: Final = f"must be given once, as one of {', '.join(RunStatus)}"
BAD_HOST: Final = "must be given once, as the name of a host"
BAD_LABEL: Final = "must be key:value, with a key of 1 to 63 characters and a value of at most 255"
MANY_LABELS: Final = f"must be given at most {MAX_LABELS} times"
# A JSON number; float() accepts more than that.
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


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


def wait_of(request: web.Request) -> float:
    """The seconds of `wait`, for a call without other parameters. Raises ApiError 400."""
    problems = unknown(request, "wait")
    wait = _seconds(request.query.getall("wait", ["0"]))
    if wait is None:
        problems["wait"] = BAD_WAIT
    if wait is None or problems:
        raise invalid(problems)
    return wait


def _seconds(given: Sequence[str]) -> float | None:
    if len(given) != 1 or not _NUMBER.fullmatch(given[0]):
        return None
    seconds = float(given[0])
    return seconds if 0 <= seconds <= MAX_WAIT else None
