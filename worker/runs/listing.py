"""Adds and lists runs, as text or JSON."""

import json
from typing import Any

from asyncpg import Record

from shared.output import plain, print_columns, print_json
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus, command_state


async def add_run(database: Database, run_id: int, grace: float | None, stop_signal: str) -> bool:
    """Add a queued run; False if the id exists."""
    async with database.connection() as connection:
        return await connection.fetchval(sql.runs.ADD_RUN, run_id, grace, stop_signal) is not None


async def list_runs(
    database: Database, status: RunStatus | None, limit: int
) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        rows = await connection.fetch(sql.runs.LIST_RUNS, status, limit)
    return [_listed(row) for row in rows]


def _listed(row: Record) -> dict[str, Any]:
    """A run, and in `cancel` the state of its open command."""
    run = described(row)
    state = command_state(run["status"], run.pop("host_state"))
    return run | {"cancel": state.value if run.pop("has_open_command") else None}


def described(run: Record) -> dict[str, Any]:
    """A run, as JSON."""
    return plain(run) | {"loss": json.loads(run["loss"]) if run["loss"] else None}


def print_runs(runs: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(runs)
        return
    columns = {
        "run": "run_id",
        "status": "status",
        "cancel": "cancel",
        "host": "host",
        "exit": "exit_code",
        "created": "created_at",
        "finished": "finished_at",
    }
    print_columns(columns, runs)
