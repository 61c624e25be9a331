"""Records of long ago."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import Database, connected
from tools.support.rows import NEVER_STARTED, Connection, Row, insert
from worker.upkeep.prune import Archive, Order, Pruned, Pruner

LIMIT: Final = timedelta(days=90)
OLD_AT: Final = datetime.now(UTC) - timedelta(days=200)
RECENT_AT: Final = datetime.now(UTC) - timedelta(days=20)
OLD: Final = OLD_AT.isoformat()
RECENT: Final = RECENT_AT.isoformat()

_ADD_RUNS: Final = """
    INSERT INTO runs (run_id, status, created_at, finished_at, proof, labels)
    SELECT n, 'canceled', $3::timestamptz, $3::timestamptz + n * interval '1 ms', 'never_started',
           '{"branch": "main"}'
      FROM generate_series($1::bigint, $2::bigint) n
"""
_ADD_COMMANDS: Final = """
    INSERT INTO cancellations (command_id, run_id, via, force, received_at, outcome, finished_at)
    SELECT gen_random_uuid(), n, 'rest', false, $3::timestamptz, 'no_op', $3::timestamptz
      FROM generate_series($1::bigint, $2::bigint) n
"""
_LEFT: Final = "SELECT run_id FROM runs ORDER BY run_id"


@asynccontextmanager
async def database_at(url: str, **settings: object) -> AsyncIterator[Database]:
    """As a program has it."""
    given = DatabaseSettings.model_validate({"DATABASE_URL": url, **settings})
    async with connected(given) as database:
        yield database


async def prune(
    database: Database, archive: Archive | None = None, *, waiting_letters: bool = False
) -> Pruned:
    order = Order("alice", LIMIT, waiting_letters)
    return await Pruner(database, order, archive).prune(asyncio.Event())


async def add_run(connection: Connection, run_id: int, row: Row = NEVER_STARTED) -> None:
    """A run of long ago, unless `row` says otherwise."""
    old: Row = {"run_id": run_id, "created_at": OLD}
    for column in ("started_at", "finished_at", "canceling_at", "stop_deadline"):
        if column in row:
            old[column] = OLD
    if "launch_id" in row:
        old |= {"launch_id": str(uuid4()), "pid": 1000 + run_id}
    changed = {name: value for name, value in row.items() if name not in old or value == RECENT}
    await insert(connection, "runs", {**old, **changed})


async def add_command(connection: Connection, run_id: int, **columns: object) -> None:
    """A command of long ago that has its outcome, unless `columns` say otherwise."""
    row = {
        "command_id": str(uuid4()),
        "run_id": run_id,
        "via": "rest",
        "force": False,
        "faults": {},
        "taken_up": 0,
        "received_at": OLD,
        "outcome": "no_op",
        "finished_at": OLD,
        "evidence": {"run_status": "canceled"},
    }
    await insert(connection, "cancellations", {**row, **columns})


async def add_letter(
    connection: Connection, run_id: int | None, body: bytes = b"{}", **columns: object
) -> int:
    """A discarded letter of long ago, unless `columns` say otherwise; its id."""
    row = {"state": "discarded", "arrived_at": OLD, "headers": {}, **columns}
    letter_id: int = await connection.fetchval(
        "INSERT INTO dead_letters (letter_key, digest, state, arrived_at, reason, error, attempts,"
        " exchange, routing_key, via, run_id, body, headers)"
        " VALUES ($1, sha256($2), $3, $4::text::timestamptz, 'unknown_run', 'e', 1, 'x', 'k',"
        " 'rest', $5, $2, $6::json) RETURNING letter_id",
        str(uuid4()),
        body,
        row["state"],
        row["arrived_at"],
        run_id,
        json.dumps(row["headers"]),
    )
    return letter_id


async def add_action(
    connection: Connection, letter_id: int, at: str, action: str = "discarded"
) -> None:
    await connection.execute(
        "INSERT INTO dead_letter_actions (letter_id, action, done_at, done_by, body)"
        " VALUES ($1, $2, $3::text::timestamptz, 'bob', $4)",
        letter_id,
        action,
        at,
        b"\xff" if action == "edited" else None,
    )


async def add_many(connection: Connection, first: int, last: int) -> None:
    """Runs that can be pruned, each with a command."""
    await connection.execute(_ADD_RUNS, first, last, OLD_AT)
    await connection.execute(_ADD_COMMANDS, first, last, OLD_AT)


async def runs_left(connection: "Connection | PoolConnectionProxy[Record]") -> list[int]:
    return [row["run_id"] for row in await connection.fetch(_LEFT)]
