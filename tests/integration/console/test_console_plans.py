"""Every page reads little, however much is on record: of no large table all of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.postgres import sql
from tools.bench.filled.fill import fill
from tools.bench.filled.sizes import Sizes
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import Connection
from worker.console.audit.listing import LOOKED_AT

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIZES: Final = Sizes(runs=30_000, cancellations=15_000, letters=20_000, hosts=50)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(services: Services, template: str) -> AsyncIterator[Connection]:
    async with new_database(services, template) as url:
        await fill(url, SIZES, lambda line: None)
        connection = await asyncpg.connect(url)
        yield connection
        await connection.close()


@pytest.mark.parametrize("plan", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("looked_at", [51, LOOKED_AT])
@pytest.mark.parametrize("source", sql.audit.SOURCES)
async def test_the_audit_is_read_by_time(
    filled: Connection, source: str, looked_at: int, plan: str
) -> None:
    of = sql.audit.SOURCES[source]
    key = UUID(int=0) if of.key_type == "uuid" else 0
    times = datetime(9000, 1, 1, tzinfo=UTC), key, datetime(1970, 1, 1, tzinfo=UTC)
    await filled.execute(f"SET plan_cache_mode = {plan}")

    rows = await filled.fetch(
        f"EXPLAIN {sql.audit.newest(source, looked_at)}", *times, "alice", None, 51
    )

    shown = "\n".join(row[0] for row in rows)
    assert f"{of.table}_by_time" in shown, shown
    assert "Seq Scan" not in shown, shown
