"""`python -m tools.mutants.running.prepared`: what Postgres makes of each SQL statement.

Migrates a database and prepares every constant of `shared.postgres.sql` there. Prints, as JSON, the
parameter types of each, or null for what cannot be prepared: a fragment, or a broken statement.
"""

import asyncio
import importlib
import json
import os
import pkgutil
from collections.abc import Iterator

import asyncpg

import shared.postgres.sql as package
from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tools.services.databases import new_database
from tools.services.model import Services

Prepared = dict[str, list[str] | None]


def statements() -> Iterator[tuple[str, str]]:
    """Each text by the name of its module and its own."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.isupper() and isinstance(value, str):
                yield f"{module.name}.{name}", value


async def _prepared() -> Prepared:
    services = Services(os.environ["DATABASE_URL"], os.environ["AMQP_URL"], "environment")
    async with new_database(services) as url:
        settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
        async with connected(settings) as database:
            await migrate(database)
        connection = await asyncpg.connect(url)
        try:
            return {name: await _types(connection, sql) for name, sql in statements()}
        finally:
            await connection.close()


async def _types(connection: "asyncpg.Connection[asyncpg.Record]", sql: str) -> list[str] | None:
    try:
        statement = await connection.prepare(sql)
    except asyncpg.PostgresError:
        return None
    return [each.name for each in statement.get_parameters()]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_prepared())))
