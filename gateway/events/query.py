"""What a request for an event stream asks for."""

import re
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from gateway.events.event import TYPES, Selection
from gateway.http.errors import invalid
from gateway.http.query import unknown
from shared.limits import BIGINT_MAX

RUN_ID_PROBLEM: Final = f"must be given once, as an integer from 1 to {BIGINT_MAX}"
TYPE_PROBLEM: Final = f"must be one of {', '.join(TYPES)}"
LAST_ID_HEADER: Final = "Last-Event-ID"
LAST_ID_PROBLEM: Final = "must be given at most once"

_RUN_ID: Final = re.compile(r"0*[1-9][0-9]{0,18}")


def selection_of(request: web.Request) -> Selection:
    """The events that `run_id` and `type` select. Raises ApiError 400."""
    problems = unknown(request, "run_id", "type")
    given = request.query.getall("run_id", [])
    run_id = _run_id(given)
    if given and run_id is None:
        problems["run_id"] = RUN_ID_PROBLEM
    types = frozenset(request.query.getall("type", []))
    if not types <= frozenset(TYPES):
        problems["type"] = TYPE_PROBLEM
    if problems:
        raise invalid(problems)
    return Selection(run_id, types)


def last_id_of(request: web.Request) -> str | None:
    """The id after which the stream begins, if the client has one. Raises ApiError 400."""
    given = request.headers.getall(LAST_ID_HEADER, [""])
    if len(given) != 1:
        raise invalid({LAST_ID_HEADER: LAST_ID_PROBLEM})
    return given[0] or None


def _run_id(given: Sequence[str]) -> int | None:
    if len(given) != 1 or not _RUN_ID.fullmatch(given[0]):
        return None
    run_id = int(given[0])
    return run_id if run_id <= BIGINT_MAX else None
