"""Runs as the API shows them."""

from typing import Final

from aiohttp import web

from gateway.errors import ApiError, invalid
from shared import queries
from shared.commands import BIGINT_MAX
from shared.database import Database
from shared.states import RunStatus

# Digits enough to tell a number beyond bigint from a malformed one; Python refuses to read
# numbers of some thousands of digits.
_MAX_DIGITS: Final = 1000


def run_id_of(request: web.Request) -> int:
    """The run id in the path. Raises ApiError 400, or 404 for a number no run can have."""
    text = request.match_info["run_id"]
    if not (text.isascii() and text.isdigit()) or not text.strip("0"):
        raise invalid({"run_id": "must be an integer, 1 or greater"})
    if len(text) > _MAX_DIGITS:
        raise invalid({"run_id": f"has more than {_MAX_DIGITS} digits"})
    run_id = int(text)
    if run_id > BIGINT_MAX:
        raise run_not_found(run_id)
    return run_id


async def find_status(database: Database, run_id: int) -> RunStatus:
    """The run's status. Raises ApiError 404, and ServiceUnavailable."""
    async with database.connection() as connection:
        status = await connection.fetchval(queries.FIND_STATUS, run_id)
    if status is None:
        raise run_not_found(run_id)
    return RunStatus(status)


def run_not_found(run_id: int) -> ApiError:
    return ApiError(404, "not_found", f"Run {run_id} not found.", {"resource": "run", "id": run_id})
