"""Reads what is on record of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus

BATCH: Final = 1_000
"""Runs per statement."""


@dataclass(frozen=True, slots=True)
class RunHistory:
    """One run with its cancellations and dead letters, oldest first."""

    run: Record
    cancellations: Sequence[Record]
    dead_letters: Sequence[Record]
    actions: Sequence[Record]
    """What was done with the dead letters."""
    host: Record | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs: those that match all that is given. `labels` are distinct."""

    status: RunStatus | None = None
    host: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    older_than: timedelta | None = None

    @property
    def is_for_all_old(self) -> bool:
        """Whether nothing but their age makes the runs few: they would be most of all."""
        is_rare = self.status is not None and not self.status.is_terminal
        return self.older_than is not None and not (self.host or is_rare)


async def list_runs(database: Database, wanted: Filter, limit: int) -> Sequence[Record]:
    """The newest of these runs, by id; of old ones, by the time at which they were added."""
    arguments = (wanted.status, wanted.host, wanted.older_than, limit)
    if not wanted.labels:
        query = sql.runs.LIST_OLD_RUNS if wanted.is_for_all_old else sql.runs.LIST_RUNS
        return await database.fetch(query, *arguments)
    labels = [f"{key}:{value}" for key, value in wanted.labels]
    return await database.fetch(sql.runs.LIST_LABELED_RUNS, *arguments, labels)


async def find_run(database: Database, run_id: int, most: int | None = None) -> RunHistory | None:
    """`most`: how many cancellations and dead letters to read, the oldest; None for all."""
    async with database.connection() as connection:
        run = await connection.fetchrow(sql.runs.FIND_RUN, run_id)
        if run is None:
            return None
        return RunHistory(
            run,
            await connection.fetch(sql.runs.LIST_CANCELLATIONS, run_id, most),
            await connection.fetch(sql.dead_letters.LIST_OF_RUN, run_id, most),
            await connection.fetch(sql.dead_letters.LIST_ACTIONS_OF_RUN, run_id),
            await connection.fetchrow(sql.hosts.FIND_STATE, run["host"]),
        )
