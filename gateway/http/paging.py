"""Lists in pages: a cursor that belongs to its list, and the link to the next page."""

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final, NamedTuple

from aiohttp import web

from shared.limits import BIGINT_MAX

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
PARAMETERS: Final = ("limit", "after")
BAD_LIMIT: Final = f"must be given once, as an integer from 1 to {MAX_LIMIT}"
BAD_CURSOR: Final = "must be given once, as in the link to the next page of this list"
_DIGITS: Final = re.compile("[0-9]{1,4}")
_DIGEST: Final = 8  # bytes
_POSITION: Final = 8


class Page(NamedTuple):
    limit: int
    """The most items that it may have."""
    after: int | None
    """The number of the last item on the page before; None for the first page."""


def page_of(request: web.Request, problems: dict[str, str]) -> Page:
    """The page that `limit` and `after` ask for. What is wrong with them is added to `problems`.

    A cursor belongs to the list with the path and the filters of the request.
    """
    limit = limit_of(request, DEFAULT_LIMIT, MAX_LIMIT)
    if limit is None:
        problems["limit"] = BAD_LIMIT
    cursors = request.query.getall("after", None)
    after = None if cursors is None else _position(request, cursors)
    if cursors is not None and after is None:
        problems["after"] = BAD_CURSOR
    return Page(limit or DEFAULT_LIMIT, after)


def next_page(request: web.Request, last: int) -> Mapping[str, str]:
    """The header with the link to the page after `last`, the number of this page's last item."""
    cursor = urlsafe_b64encode(_list(request) + last.to_bytes(_POSITION)).decode().rstrip("=")
    return {"Link": f'<{request.rel_url.update_query(after=cursor)}>; rel="next"'}


def limit_of(request: web.Request, default: int, most: int) -> int | None:
    """The parameter `limit`, or None if it is not given once as an integer from 1 to `most`."""
    given = request.query.getall("limit", [str(default)])
    if len(given) != 1 or not _DIGITS.fullmatch(given[0]):
        return None
    limit = int(given[0])
    return limit if 1 <= limit <= most else None


def _position(request: web.Request, cursors: list[str]) -> int | None:
    """The number in the cursor, or None if it is no cursor of this list."""
    if len(cursors) != 1:
        return None
    try:
        cursor = urlsafe_b64decode(f"{cursors[0]}==")
    except ValueError:
        return None
    last = int.from_bytes(cursor[_DIGEST:])
    if len(cursor) != _DIGEST + _POSITION or cursor[:_DIGEST] != _list(request):
        return None
    return last if last <= BIGINT_MAX else None


def _list(request: web.Request) -> bytes:
    """What tells this list from others: its path and its filters, in any order."""
    filters = {item for item in request.query.items() if item[0] not in PARAMETERS}
    named = json.dumps([request.path, *sorted(filters)])
    return hashlib.sha256(named.encode()).digest()[:_DIGEST]
