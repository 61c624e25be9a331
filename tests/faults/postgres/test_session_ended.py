"""Postgres ends a session that is idle, and the next question comes too early."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from yarl import URL

from shared.configuration.settings import DatabaseSettings
from shared.errors import ServiceUnavailable
from shared.postgres.database import connected

APPLICATION = "run-cancel"


@asynccontextmanager
async def _never_closed(url: str) -> AsyncIterator[str]:
    """A way to Postgres on which its last words arrive, but not that it has hung up."""
    target = URL(url)
    over = asyncio.Event()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, upstream = await asyncio.open_connection(target.host, target.port)
        asking = asyncio.create_task(_pump(reader, upstream))
        await _pump(answers, writer)
        await over.wait()
        asking.cancel()
        writer.transport.abort()
        upstream.transport.abort()

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield str(target.with_host("127.0.0.1").with_port(port))
    finally:
        server.close()
        over.set()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_a_question_on_a_session_just_ended_is_an_outage(database_url: str) -> None:
    async with (
        _never_closed(database_url) as url,
        connected(DatabaseSettings.model_validate({"DATABASE_URL": url})) as database,
    ):
        assert await database.fetchrow("SELECT 1") is not None
        admin = await asyncpg.connect(database_url)
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = $1",
            APPLICATION,
        )
        await admin.close()

        with pytest.raises(ServiceUnavailable):
            await database.fetchrow("SELECT 1")
