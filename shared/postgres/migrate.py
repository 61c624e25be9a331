"""Bring the schema up to date.

Numbered SQL files and one lock are enough. The maintained migration libraries need an ORM or a
second Postgres driver.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from importlib import resources

import asyncpg

from shared.aio.retry import until_available
from shared.errors import SchemaError, ServiceUnavailable
from shared.postgres.database import Connection, Database

# Any constant will do, if every process uses the same.
_LOCK = 0x72756E63  # "runc"
# Seconds. A migration may take longer than the statements of the service.
_MIGRATION_TIMEOUT = 3600.0


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str


def known() -> list[Migration]:
    """All migrations, in the order in which they apply."""
    files = resources.files("shared.postgres.migrations").iterdir()
    return [
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text())
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".sql")
    ]


async def migrate(database: Database, *, up_to: int | None = None) -> list[str]:
    """Apply the missing migrations in one transaction, and return their names.

    `up_to` is the number of the last one; None: all of them. Several processes may call this at
    once: they take turns, and the later ones find nothing to do.
    Raises SchemaError if the database schema is newer than this code.
    """
    async with database.transaction() as connection:
        await connection.execute(
            "SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=_MIGRATION_TIMEOUT
        )
        await connection.execute(
            """
            CREATE TABLE IF NOT EXISTS schema_migrations (
                number     integer PRIMARY KEY,
                name       text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )
        missing = [
            migration
            for migration in await _missing(connection)
            if up_to is None or migration.number <= up_to
        ]
        for migration in missing:
            await connection.execute(migration.sql, timeout=_MIGRATION_TIMEOUT)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)",
                migration.number,
                migration.name,
            )
        return [migration.name for migration in missing]


async def require_current(database: Database) -> None:
    """Raise SchemaError unless the schema is the one this code was written for."""
    async with database.connection() as connection:
        try:
            missing = await _missing(connection)
        except asyncpg.UndefinedTableError:
            missing = known()
    if missing:
        raise SchemaError("the database schema is not up to date: run `cancel-worker migrate`")


async def wait_until_current(database: Database, within: float | None) -> None:
    """Likewise, but retry during an outage, for `within` seconds. Raises ServiceUnavailable, too.

    A server that has just been reached may already be away again.
    """
    try:
        async with asyncio.timeout(within):
            await until_available(partial(require_current, database))
    except TimeoutError:
        raise ServiceUnavailable(f"Postgres: no answer within {within:g} s") from None


async def _missing(connection: Connection) -> list[Migration]:
    applied = {
        row["number"] for row in await connection.fetch("SELECT number FROM schema_migrations")
    }
    migrations = known()
    if ahead := applied - {migration.number for migration in migrations}:
        raise SchemaError(
            f"the database schema is newer than this version: it has migration {max(ahead)}"
        )
    return [migration for migration in migrations if migration.number not in applied]
