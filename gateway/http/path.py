"""The run id in a path."""

from typing import Final

from aiohttp import web

from gateway.http.errors import invalid

# Enough digits to tell a number beyond bigint from a malformed one. Python does not parse numbers
# of several thousand digits.
_MAX_DIGITS: Final = 1000


def run_id_of(request: web.Request) -> int:
    """The run id in the path. Raises ApiError 400."""
    text = request.match_info["run_id"]
    if not (text.isascii() and text.isdigit()) or not text.strip("0"):
        raise invalid({"run_id": "must be an integer, 1 or greater"})
    if len(text) > _MAX_DIGITS:
        raise invalid({"run_id": f"has more than {_MAX_DIGITS} digits"})
    return int(text)
