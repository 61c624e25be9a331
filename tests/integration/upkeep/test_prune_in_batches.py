"""A prune beside others: it waits for nobody, continues, and is done in short transactions."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from shared.postgres import sql
from shared.postgres.database import Database
from tests.support.programs.full_disk import full_disk
from tests.support.records.aged import (
    LIMIT,
    OLD_AT,
    add_command,
    add_letter,
    add_many,
    add_run,
    database_at,
    prune,
    runs_left,
)
from tools.support.rows import PASS, RUNNING, Connection
from worker.upkeep.archive import file_archive
from worker.upkeep.count import count
from worker.upkeep.prune import Order, Pruner

_MANY: Final = 1600
"""More than one transaction takes."""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_at(database_url) as opened:
        yield opened


async def test_two_prunes_at_once_delete_each_row_once(
    connection: Connection, database: Database
) -> None:
    await add_many(connection, 1, _MANY)

    both = await asyncio.gather(prune(database), prune(database))

    assert [pruned.failed for pruned in both] == [None, None]
    assert sum(pruned.rows["runs"] for pruned in both) == _MANY
    assert await runs_left(connection) == []
    noted = await connection.fetch("SELECT (detail #>> '{pruned,runs}')::int AS n FROM audit")
    assert sorted(row["n"] for row in noted) == sorted(pruned.rows["runs"] for pruned in both)


async def test_a_run_that_is_being_decided_on_is_left_to_that(
    connection: Connection, database: Database
) -> None:
    await add_many(connection, 1, 3)

    async with connection.transaction():
        await connection.fetch(sql.runs.LOCK_RUN, 2)
        async with asyncio.timeout(5):  # it waits for no lock
            await prune(database)
        assert await runs_left(connection) == [2]
        await add_command(connection, 2, outcome=None, finished_at=None)

    await prune(database)
    assert await runs_left(connection) == [2]


async def test_it_stops_when_told_to_and_another_one_continues(
    connection: Connection, database: Database
) -> None:
    await add_many(connection, 1, _MANY)
    stop = asyncio.Event()
    order = Order("alice", LIMIT)

    def looked_at(number: int) -> None:
        if number:
            stop.set()

    pruned = await Pruner(database, order).prune(stop, looked_at)

    assert pruned.interrupted
    left = await runs_left(connection)
    assert len(left) == _MANY - pruned.rows["runs"]
    assert left
    assert not (await prune(database)).interrupted
    assert await runs_left(connection) == []


async def test_what_cannot_go_is_looked_at_once(connection: Connection, database: Database) -> None:
    """Else a prune would never get beyond many runs that stay."""
    await add_many(connection, 1, _MANY)
    await connection.execute("UPDATE cancellations SET outcome = NULL, finished_at = NULL")
    await add_run(connection, _MANY + 1, PASS)
    looked_at: list[int] = []

    pruned = await Pruner(database, Order("alice", LIMIT)).prune(asyncio.Event(), looked_at.append)

    assert pruned.rows["runs"] == 1
    assert sum(looked_at) == _MANY + 1


@pytest.mark.parametrize("waiting", [False, True])
async def test_waiting_letters_go_only_if_asked_for_and_then_with_their_run(
    connection: Connection, database: Database, *, waiting: bool
) -> None:
    await add_run(connection, 1)
    await add_letter(connection, 1, state="waiting")
    await add_letter(connection, None, state="waiting")

    await prune(database, waiting_letters=waiting)

    letters = await connection.fetchval("SELECT count(*) FROM dead_letters")
    assert (letters, await runs_left(connection)) == ((0, []) if waiting else (2, [1]))


async def test_the_count_is_what_is_pruned_then(connection: Connection, database: Database) -> None:
    await add_many(connection, 1, 20)
    await add_run(connection, 21, RUNNING)
    await add_letter(connection, 3)
    await add_letter(connection, None)
    await add_letter(connection, 4, state="waiting")
    await connection.execute(
        "INSERT INTO runs (run_id, created_at) VALUES (30, $1), (31, now())", OLD_AT
    )
    order = Order("alice", LIMIT)

    counted = await count(database, order, seconds=30)

    assert counted.is_complete
    assert len(await runs_left(connection)) == 23
    pruned = await prune(database)
    assert counted.rows == +pruned.rows
    assert (counted.expired, pruned.expired) == (1, 1)


async def test_a_count_that_takes_too_long_says_so(
    connection: Connection, database: Database
) -> None:
    async with connection.transaction():
        await connection.execute("LOCK TABLE runs")
        assert not (await count(database, Order("alice", LIMIT), seconds=0.2)).is_complete


async def test_a_pruned_id_can_be_registered_again(
    connection: Connection, database: Database
) -> None:
    await add_many(connection, 1, 1)
    await prune(database)

    await add_many(connection, 1, 1)

    assert await runs_left(connection) == [1]


async def test_nothing_is_deleted_that_could_not_be_archived(
    connection: Connection, database: Database, tmp_path: Path
) -> None:
    await add_many(connection, 1, _MANY)
    path = tmp_path / "archive.jsonl"

    with file_archive(path) as archive, full_disk(700_000):
        pruned = await prune(database, archive)

    assert pruned.failed is not None
    assert "File too large" in pruned.failed
    left = await runs_left(connection)
    archived = [json.loads(line)["run"]["run_id"] for line in path.read_text().splitlines()]
    assert archived, "the first transaction had no room either"
    assert sorted([*archived, *left]) == [*range(1, _MANY + 1)]
