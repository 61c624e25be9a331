"""One system for all tests of a module, where starting it costs more than the tests do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
from yarl import URL

from tests.support.services import Services
from tests.support.system import System


@asynccontextmanager
async def new_database(services: Services, template: str | None = None) -> AsyncIterator[str]:
    """The URL of a database of its own: a copy of `template`, or an empty one."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(services.database_url)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        yield str(URL(services.database_url).with_path(f"/{name}"))
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


@asynccontextmanager
async def shared_system(
    services: Services, template: str, directory: Path
) -> AsyncIterator[System]:
    async with (
        new_database(services, template) as url,
        System(url, services.amqp_url, directory).running() as running,
    ):
        yield running
