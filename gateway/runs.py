"""Runs as the API shows them."""

from datetime import datetime
from typing import Final

from aiohttp import web
from asyncpg import Record

from gateway.access import Scope, authenticate, require_scope
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


class RunHandler:
    """GET /api/v1/runs/{run_id}: where the Location of a 202 leads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, request: web.Request) -> web.Response:
        caller = await authenticate(request, self._database)
        require_scope(caller, Scope.RUNS_READ)
        run_id = run_id_of(request)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(queries.FIND_RUN_SUMMARY, run_id)
        if row is None:
            raise run_not_found(run_id)
        return web.json_response({**_run(row), "cancellation": _latest_cancellation(row)})


def _run(row: Record) -> dict[str, object]:
    return {
        "run_id": row["run_id"],
        "status": row["status"],
        "created_at": _time(row["created_at"]),
        "started_at": _time(row["started_at"]),
        "canceling_at": _time(row["canceling_at"]),
        "finished_at": _time(row["finished_at"]),
        "exit_code": row["exit_code"],
        "error": row["error"],
    }


def _latest_cancellation(row: Record) -> dict[str, object] | None:
    if row["command_id"] is None:
        return None
    duration = row["duration_ms"]
    return {
        "command_id": str(row["command_id"]),
        "via": row["via"],
        "requested_by": row["requested_by"],
        "reason": row["reason"],
        "received_at": _time(row["received_at"]),
        "outcome": row["outcome"],
        "finished_at": _time(row["answered_at"]),
        "evidence": {
            "ended": row["ended"],
            "proof": row["proof"],
            "duration_ms": None if duration is None else float(duration),
        },
    }


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def run_not_found(run_id: int) -> ApiError:
    return ApiError(404, "not_found", f"Run {run_id} not found.", {"resource": "run", "id": run_id})
