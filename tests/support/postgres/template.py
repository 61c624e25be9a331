"""A migrated database, of which tests make copies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tools.services import Services
from tools.services.databases import new_database


@asynccontextmanager
async def migrated_template(services: Services) -> AsyncIterator[str]:
    """Its name. It is dropped at the end."""
    async with new_database(services) as url:
        settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
        async with connected(settings) as database:
            await migrate(database)
        yield URL(url).name
