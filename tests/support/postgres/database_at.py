"""The database of a URL, with short timeouts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import Database, connected


@asynccontextmanager
async def database_at(url: str, timeout: float = 5) -> AsyncIterator[Database]:
    """`timeout`: seconds, at the start and for each statement."""
    settings = DatabaseSettings.model_validate(
        {"DATABASE_URL": url, "database_timeout": timeout, "startup_timeout": timeout}
    )
    async with connected(settings) as database:
        yield database
