"""Runs as people and scripts want to see them."""

import json
from typing import Any

from asyncpg import Record
from rich.table import Table

from shared import queries
from shared.database import Database
from shared.output import plain, print_columns, print_json, print_table
from shared.states import RunStatus


async def add_run(database: Database, run_id: int, grace: float | None, stop_signal: str) -> bool:
    """Add a queued run; False if there is one of this id."""
    async with database.connection() as connection:
        return await connection.fetchval(queries.ADD_RUN, run_id, grace, stop_signal) is not None


async def find_run(database: Database, run_id: int) -> dict[str, Any] | None:
    """One run with all its cancellations, oldest first."""
    async with database.connection() as connection:
        run = await connection.fetchrow(queries.FIND_RUN, run_id)
        if run is None:
            return None
        cancellations = await connection.fetch(queries.LIST_CANCELLATIONS, run_id)
    return _described(run) | {
        "cancellations": [
            plain(row) | {"evidence": json.loads(row["evidence"])} for row in cancellations
        ]
    }


async def list_runs(
    database: Database, status: RunStatus | None, limit: int
) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        rows = await connection.fetch(queries.LIST_RUNS, status, limit)
    return [_described(row) for row in rows]


def _described(run: Record) -> dict[str, Any]:
    return plain(run) | {"loss": json.loads(run["loss"]) if run["loss"] else None}


def print_run(run: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(run)
        return
    table = Table("", "", show_header=False, box=None)
    for name, value in run.items():
        if value is not None and name != "cancellations":
            table.add_row(name, json.dumps(value, indent=2) if name == "loss" else str(value))
    for cancellation in run["cancellations"]:
        table.add_section()
        for name in ("command_id", "via", "requested_by", "reason", "outcome"):
            table.add_row(f"cancel {name}", str(cancellation[name]))
        table.add_row("cancel evidence", json.dumps(cancellation["evidence"], indent=2))
    print_table(table)


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
