"""What the sessions of a test's database do."""

import asyncpg

from tools.support.waiting import eventually


async def until_begun(database: "asyncpg.Pool[asyncpg.Record]", statement: str) -> None:
    """Wait until a session begins a statement that is made again and again."""
    # Postgres keeps the first 1024 bytes of it.
    begun = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND query_start > $1 AND query = left($2, 1023))"
    )
    now = await database.fetchval("SELECT clock_timestamp()")
    await eventually(lambda: database.fetchval(begun, now, statement), what="the statement")
