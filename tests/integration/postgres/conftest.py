"""A database of each module, in which every test is rolled back."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import Connection


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(services: Services, template: str) -> AsyncIterator[Connection]:
    async with new_database(services, template) as url:
        opened = await asyncpg.connect(url)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def database(connection: Connection) -> AsyncIterator[Connection]:
    """All that a test does is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
