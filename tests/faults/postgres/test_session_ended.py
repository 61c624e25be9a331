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
from tests.support.postgres.relay import pump, relay

APPLICATION = "run-cancel"


@asynccontextmanager
async def _never_closed(url: str) -> AsyncIterator[str]:
    """A way to Postgres on which its last words arrive, but not that it has hung up."""
    target = URL(url)
    over = asyncio.Event()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, upstream = await asyncio.open_connection(target.host, target.port)
        asking = asyncio.create_task(pump(reader, upstream))
        await pump(answers, writer)
        await over.wait()
        asking.cancel()
        writer.transport.abort()
        upstream.transport.abort()

    async with relay(url, forward) as relayed:
        try:
            yield relayed
        finally:
            over.set()


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
