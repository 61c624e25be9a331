"""A database of its own, on servers that many share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
from yarl import URL

from tools.services.model import Services


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
