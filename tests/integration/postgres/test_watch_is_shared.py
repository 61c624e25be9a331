"""The consumers of a worker wait for the same Postgres: it is asked once for all of them."""

import asyncio
from typing import Final

import pytest

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import Database, connected
from tools.services import Services
from tools.services.databases import new_database
from worker.postgres_watch import PostgresWatch

_WATCHED: Final = 2.5
"""Seconds. Postgres is asked once a second."""


async def test_consumers_that_wait_at_different_times_share_the_questions(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    answers = Database.answers

    async def counted(database: Database) -> bool:
        nonlocal asked
        asked += 1
        return await answers(database)

    monkeypatch.setattr(Database, "answers", counted)
    async with new_database(services) as url:
        settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
        async with connected(settings) as database:
            asked = 0
            watch = PostgresWatch(database)

            async def wait_after(seconds: float) -> None:
                await asyncio.sleep(seconds)  # so that their seconds begin at different times
                await watch.until_unavailable()

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(_WATCHED), asyncio.TaskGroup() as consumers:
                    for seconds in (0.0, 0.2, 0.4):
                        consumers.create_task(wait_after(seconds))

    assert 1 <= asked <= _WATCHED
