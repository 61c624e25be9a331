"""A rollback that Postgres did not carry out, as when a late request to cancel hits it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from yarl import URL

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from tests.support.postgres.relay import pump, relay


@asynccontextmanager
async def _spoiling(url: str) -> AsyncIterator[str]:
    """A way to Postgres on which the first ROLLBACK becomes an error."""
    target = URL(url)
    statements = [b"ROLLBACK;"]

    def spoiled(data: bytes) -> bytes:
        if statements and statements[0] in data:
            return data.replace(statements.pop(), b"ROLLBACX;")
        return data

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, upstream = await asyncio.open_connection(target.host, target.port)
        answering = asyncio.create_task(pump(answers, writer))
        await pump(reader, upstream, spoiled)
        answering.cancel()
        writer.transport.abort()
        upstream.transport.abort()

    async with relay(url, forward) as relayed:
        yield relayed


async def test_the_connection_is_closed_and_nothing_is_logged(database_url: str) -> None:
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    async with (
        _spoiling(database_url) as url,
        connected(DatabaseSettings.model_validate({"DATABASE_URL": url})) as database,
    ):
        with pytest.raises(asyncpg.PostgresSyntaxError):
            async with database.transaction() as connection:
                first = await connection.fetchval("SELECT pg_backend_pid()")
                raise KeyError

        async with database.transaction() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") != first

    assert logged == []
