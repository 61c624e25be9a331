"""One connection stays at hand between two uses, however the use before ended."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import Connection, Database, connected
from tools.services import Services
from tools.services.databases import new_database
from tools.support.program import DEADLINE


@pytest_asyncio.fixture
async def database(services: Services) -> AsyncIterator[Database]:
    async with new_database(services) as url:
        settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
        async with connected(settings) as database:
            await database.fetch("CREATE TABLE things (id integer PRIMARY KEY)")
            yield database


async def _backend(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def _backend_of_fetch(database: Database) -> int:
    row = await database.fetchrow("SELECT pg_backend_pid() AS pid")
    assert row is not None
    return int(row["pid"])


async def test_statements_and_transactions_use_the_same_connection(database: Database) -> None:
    async with database.transaction() as connection:
        first = await _backend(connection)
    async with database.connection() as connection:
        second = await _backend(connection)

    assert first == second == await _backend_of_fetch(database)


async def test_a_transaction_that_is_canceled_leaves_nothing_behind(database: Database) -> None:
    begun = asyncio.Event()

    async def transaction() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO things VALUES (1)")
            begun.set()
            # Not longer: asyncpg closes the connection if its cancel request fails, and then
            # Postgres rolls back only after this statement.
            await connection.execute("SELECT pg_sleep(5)")

    task = asyncio.create_task(transaction())
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await database.fetch("SELECT id FROM things") == []
        await database.fetch("INSERT INTO things VALUES (1)")


async def test_a_transaction_that_fails_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(ValueError, match=r"^wrong$"):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO things VALUES (1)")
            raise ValueError("wrong")

    assert await database.fetch("SELECT id FROM things") == []


async def test_what_a_block_leaves_open_is_rolled_back_when_it_fails(database: Database) -> None:
    with pytest.raises(ValueError, match=r"^wrong$"):
        async with database.connection() as connection:
            await connection.execute("BEGIN; INSERT INTO things VALUES (1)")
            raise ValueError("wrong")

    assert await database.fetch("SELECT id FROM things") == []
    await database.fetch("INSERT INTO things VALUES (1)")
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT count(*) FROM things") == 1
