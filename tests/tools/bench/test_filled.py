"""A database that was filled is like one that was worked with."""

from typing import Final

import asyncpg
import pytest

from shared.postgres import sql
from shared.states import HostState, RunStatus
from tools.bench.filled.fill import fill
from tools.bench.filled.sizes import Sizes
from tools.errors import ToolError
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import Connection

SIZES: Final = Sizes(runs=3000, cancellations=1000, letters=200, hosts=50)

_SHAPE: Final = """
    SELECT indexdef AS what FROM pg_indexes WHERE schemaname = 'public'
     UNION ALL
    SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""
# Foreign keys are not checked while it is filled.
_ORPHANS: Final = """
    SELECT count(*) FROM cancellations LEFT JOIN runs USING (run_id) WHERE runs.run_id IS NULL
"""


async def _shape(connection: Connection) -> set[str]:
    return {row["what"] for row in await connection.fetch(_SHAPE)}


async def test_it_has_rows_in_every_state_and_all_its_indexes(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    before = await _shape(connection)

    await fill(database_url, SIZES, lambda line: None)

    assert await _shape(connection) == before
    for table, number in (("runs", 3000), ("cancellations", 1000), ("dead_letters", 200)):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == number  # noqa: S608 - a test's
    statuses = await connection.fetch("SELECT DISTINCT status FROM runs")
    assert {row["status"] for row in statuses} == {*RunStatus}
    assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
    hosts = await connection.fetch(sql.hosts.LIST_HOSTS, None)
    assert {row["state"] for row in hosts} == {*HostState}
    assert await connection.fetchval(_ORPHANS) == 0
    with pytest.raises(ToolError, match="has runs already"):
        await fill(database_url, SIZES, lambda line: None)
    await connection.close()


async def test_a_database_that_is_not_migrated_is_not_filled(services: Services) -> None:
    async with new_database(services) as url:
        with pytest.raises(ToolError, match="not migrated"):
            await fill(url, SIZES, lambda line: None)
