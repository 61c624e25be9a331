"""Runs as people and scripts want to see them."""

import json
from typing import Any

from asyncpg import Record

from shared import queries
from shared.database import Database
from shared.output import plain, print_columns, print_json
from shared.states import RunStatus


async def add_run(database: Database, run_id: int, grace: float | None, stop_signal: str) -> bool:
    """Add a queued run; False if there is one of this id."""
    async with database.connection() as connection:
        return await connection.fetchval(queries.ADD_RUN, run_id, grace, stop_signal) is not None


async def list_runs(
    database: Database, status: RunStatus | None, limit: int
) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        rows = await connection.fetch(queries.LIST_RUNS, status, limit)
    return [described(row) for row in rows]


def described(run: Record) -> dict[str, Any]:
    """A run, as programs want to read it."""
    return plain(run) | {"loss": json.loads(run["loss"]) if run["loss"] else None}


def print_runs(runs: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(runs)
        return
    columns = {
        "run": "run_id",
        "status": "status",
        "host": "host",
        "exit": "exit_code",
        "created": "created_at",
        "finished": "finished_at",
    }
    print_columns(columns, runs)
