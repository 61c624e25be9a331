"""Adds runs, and reads what is on record of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus


@dataclass(frozen=True, slots=True)
class RunHistory:
    """One run with its cancellations and dead letters, oldest first."""

    run: Record
    cancellations: Sequence[Record]
    dead_letters: Sequence[Record]
    actions: Sequence[Record]
    """What was done with the dead letters."""
    host: Record | None


async def add_run(database: Database, run_id: int, grace: float | None, stop_signal: str) -> bool:
    """Add a queued run; False if the id exists. `grace`: seconds."""
    async with database.connection() as connection:
        return await connection.fetchval(sql.runs.ADD_RUN, run_id, grace, stop_signal) is not None


async def list_runs(database: Database, status: RunStatus | None, limit: int) -> list[Record]:
    async with database.connection() as connection:
        rows: list[Record] = await connection.fetch(sql.runs.LIST_RUNS, status, limit)
    return rows


async def find_run(database: Database, run_id: int) -> RunHistory | None:
    async with database.connection() as connection:
        run = await connection.fetchrow(sql.runs.FIND_RUN, run_id)
        if run is None:
            return None
        return RunHistory(
            run,
            await connection.fetch(sql.runs.LIST_CANCELLATIONS, run_id),
            await connection.fetch(sql.dead_letters.LIST_OF_RUN, run_id),
            await connection.fetch(sql.dead_letters.LIST_ACTIONS_OF_RUN, run_id),
            await connection.fetchrow(sql.hosts.FIND_STATE, run["host"]),
        )
