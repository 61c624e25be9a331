"""Fills a database: without its indexes, which are made anew after it."""

from collections.abc import Callable
from time import monotonic
from typing import Final

import asyncpg

from tools.bench.filled.sizes import Sizes
from tools.bench.filled.statements import Columns, statements
from tools.errors import ToolError
from tools.support.rows import Connection

_TABLES: Final = (
    *("runs", "run_labels", "cancellations"),
    *("dead_letters", "dead_letter_texts", "dead_letter_actions"),
)
_ALL: Final = (*_TABLES, "hosts", "host_actions", "audit")

# The key of `runs` stays: others refer to it, and rows come in its order.
_FIND_CONSTRAINTS: Final = """
    SELECT conrelid::regclass AS of, conname AS name, pg_get_constraintdef(oid) AS definition
      FROM pg_constraint c
     WHERE conrelid = ANY ($1::text[]::regclass[]) AND contype IN ('p', 'u')
       AND NOT EXISTS (SELECT FROM pg_constraint f
                        WHERE f.contype = 'f' AND f.confrelid = c.conrelid AND c.contype = 'p')
"""
_FIND_INDEXES: Final = """
    SELECT indexrelid::regclass AS name, pg_get_indexdef(indexrelid) AS definition
      FROM pg_index i
     WHERE indrelid = ANY ($1::text[]::regclass[])
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
"""
_FIND_COLUMNS: Final = """
    SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0
"""


async def fill(url: str, sizes: Sizes, say: Callable[[str], None]) -> None:
    """Fill the database at `url`, in one transaction, and analyze it.

    Raises ToolError if it is not migrated, has runs, or the user is no superuser.
    """
    connection: Connection = await asyncpg.connect(url)
    try:
        await _check(connection)
        async with connection.transaction():
            # Neither triggers nor foreign keys: events of a year ago interest nobody.
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute("SET LOCAL synchronous_commit = off")
            await connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
            await connection.execute("SET LOCAL work_mem = '256MB'")
            again = await _without_indexes(connection)
            for table, columns, source in statements(sizes):
                began = monotonic()
                rows = await _insert(connection, table, columns, source)
                say(f"{table}: {rows:,} rows, {monotonic() - began:.0f} s")
            began = monotonic()
            for definition in again:
                await connection.execute(definition)
            say(f"{len(again)} indexes: {monotonic() - began:.0f} s")
        began = monotonic()
        await connection.execute(f"VACUUM (ANALYZE, FREEZE) {', '.join(_ALL)}")
        say(f"vacuum: {monotonic() - began:.0f} s")
    finally:
        await connection.close()


async def _check(connection: Connection) -> None:
    if await connection.fetchval("SELECT to_regclass('run_labels')") is None:
        raise ToolError("the database is not migrated: run `cancel-worker migrate`")
    if await connection.fetchval("SELECT EXISTS (SELECT FROM runs)"):
        raise ToolError("the database has runs already")
    if await connection.fetchval("SELECT current_setting('is_superuser')") != "on":
        raise ToolError("only a superuser can fill a database without its triggers")


async def _without_indexes(connection: Connection) -> list[str]:
    """Drop the indexes; the statements that make them again."""
    again = []
    for row in await connection.fetch(_FIND_CONSTRAINTS, _TABLES):
        again.append(f"ALTER TABLE {row['of']} ADD CONSTRAINT {row['name']} {row['definition']}")
        await connection.execute(f"ALTER TABLE {row['of']} DROP CONSTRAINT {row['name']}")
    for row in await connection.fetch(_FIND_INDEXES, _TABLES):
        again.append(row["definition"])
        await connection.execute(f"DROP INDEX {row['name']}")
    return again


async def _insert(connection: Connection, table: str, columns: Columns, source: str) -> int:
    """Columns that this version of the schema does not have are left out."""
    known = {row["attname"] for row in await connection.fetch(_FIND_COLUMNS, table)}
    here = {name: it for name, it in columns.items() if name in known}
    names, expressions = ", ".join(here), ", ".join(here.values())
    done = await connection.execute(
        f"INSERT INTO {table} ({names}) SELECT {expressions} FROM {source}"  # noqa: S608 - constants
    )
    return int(done.split()[-1])
