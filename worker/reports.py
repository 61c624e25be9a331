"""Runs as people and scripts want to see them."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from rich.console import Console
from rich.table import Table

from shared import queries
from shared.database import Database
from shared.states import RunStatus


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit with 1 here; `shared.cli` decides what a reader that left means.
        raise BrokenPipeError


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
    return _plain(run) | {
        "cancellations": [
            _plain(row) | {"evidence": json.loads(row["evidence"])} for row in cancellations
        ]
    }


async def list_runs(
    database: Database, status: RunStatus | None, limit: int
) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        return [_plain(row) for row in await connection.fetch(queries.LIST_RUNS, status, limit)]


def print_run(run: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(run))
        return
    table = Table("", "", show_header=False, box=None)
    for name, value in run.items():
        if value is not None and name != "cancellations":
            table.add_row(name, str(value))
    for cancellation in run["cancellations"]:
        table.add_section()
        for name in ("command_id", "via", "requested_by", "reason", "outcome"):
            table.add_row(f"cancel {name}", str(cancellation[name]))
        table.add_row("cancel evidence", json.dumps(cancellation["evidence"], indent=2))
    _Console().print(table)


def print_runs(runs: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(runs))
        return
    table = Table("run", "status", "host", "exit", "created", "finished", box=None)
    for run in runs:
        shown = (run[name] for name in ("run_id", "status", "host", "exit_code"))
        times = (run[name] for name in ("created_at", "finished_at"))
        table.add_row(*("" if value is None else str(value) for value in (*shown, *times)))
    _Console().print(table)


def _plain(row: Record) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
    return value
