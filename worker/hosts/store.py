"""Runner hosts in Postgres: found, abandoned, forgotten. Each is one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asyncpg import Record

from shared.errors import RunCancelError
from shared.postgres import sql
from shared.postgres.database import Connection, Database
from shared.states import HostState

_MOST_RUNS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Abandoned:
    run_ids: list[int]
    commands: int
    already: bool


class HostIsUp(RunCancelError):
    """A host whose worker is up cannot be abandoned."""

    def __init__(self, seconds: float) -> None:
        """`seconds` since its last heartbeat."""
        super().__init__(f"its last heartbeat was {seconds:.1f} s ago")


async def abandon(database: Database, host: str, by: str, reason: str) -> Abandoned | None:
    """Abandon a host and its runs; None if there is no such host.

    Raises HostIsUp.
    """
    async with database.transaction() as connection:
        found = await connection.fetchrow(sql.hosts.LOCK_HOST, host)
        if found is None:
            return None
        if found["state"] == HostState.UP:
            raise HostIsUp(found["age"])
        already = found["abandoned_at"] is not None
        if not already:
            await connection.execute(sql.hosts.ABANDON, host)
        rows = await connection.fetch(
            sql.hosts.LOSE_RUNS_OF_ABANDONED, host, by, reason, found["seen_at"]
        )
        run_ids = sorted(row["run_id"] for row in rows)
        # So that a command that is just being recorded on one of them is closed too.
        await connection.execute(sql.hosts.LOCK_OVER_UNPROVED, host)
        answered = await connection.fetch(
            sql.hosts.CLOSE_COMMANDS_OF_ABANDONED, run_ids, by, reason, host
        )
        if run_ids or not already:
            await note(connection, host, "abandoned", by, reason, run_ids)
    return Abandoned(run_ids, len(answered), already)


class Refused(StrEnum):
    """Why a host is not forgotten."""

    UNKNOWN = "unknown"
    UP = "up"
    RUNS = "runs"
    """It has runs that are not over."""
    UNPROVED = "unproved"
    """It has runs of which processes may be left."""
    CONTAINERS = "containers"
    """It has runs whose containers are not removed."""


async def forget(database: Database, host: str, by: str) -> Refused | None:
    """Forget a host that is not up and owns nothing; why not, or None."""
    (row,) = await database.fetch(sql.upkeep.FORGET_HOST, host, by)
    return None if row["refused"] is None else Refused(row["refused"])


async def find_all(database: Database) -> list[Record]:
    async with database.connection() as connection:
        rows: list[Record] = await connection.fetch(sql.hosts.LIST_HOSTS, None)
    return rows


@dataclass(frozen=True, slots=True)
class HostDetails:
    """One host, what is to be done there, and its history. Of each, 1,000 at most."""

    host: Record
    runs: Sequence[Record]
    """Runs that are not over, or that may have processes left."""
    commands: Sequence[Record]
    """Open commands."""
    letters: Sequence[Record]
    """Waiting dead letters of `runs`."""
    actions: Sequence[Record]


async def find_one(database: Database, host: str) -> HostDetails | None:
    async with database.connection() as connection:
        found = await connection.fetchrow(sql.hosts.LIST_HOSTS, host)
        if found is None:
            return None
        return HostDetails(
            found,
            await connection.fetch(sql.now.LIVE_ON_HOST, host, _MOST_RUNS),
            await connection.fetch(sql.hosts.LIST_OPEN_COMMANDS, host),
            await connection.fetch(sql.hosts.LIST_WAITING_LETTERS, host),
            await connection.fetch(sql.hosts.LIST_ACTIONS, host),
        )


async def note(
    connection: Connection, host: str, action: str, by: str, reason: str | None, run_ids: list[int]
) -> None:
    await connection.execute(sql.hosts.ADD_ACTION, host, action, by, reason, run_ids)
