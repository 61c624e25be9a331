"""One worker of all does the daily upkeep."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from shared.postgres.database import Database
from tests.support.records.aged import (
    LIMIT,
    OLD_AT,
    RECENT_AT,
    add_many,
    add_run,
    database_at,
    runs_left,
)
from tools.support.rows import RUNNING, Connection
from tools.support.system import System
from worker.metrics import WorkerMetrics
from worker.upkeep.daily import DailyUpkeep

_NOW: Final = datetime.now(UTC)
_PRUNES: Final = "SELECT done_by FROM audit WHERE action = 'pruned'"
_ADD_HOST: Final = """
    INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, seen_at, left_at)
    VALUES ($1, gen_random_uuid(), gen_random_uuid(), 5, $2, $2)
"""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with database_at(database_url) as opened:
        yield opened


def upkeep(
    database: Database,
    name: str = "h1",
    retention: timedelta | None = LIMIT,
    hosts: timedelta | None = None,
    registry: CollectorRegistry | None = None,
) -> DailyUpkeep:
    metrics = WorkerMetrics(registry or CollectorRegistry())
    return DailyUpkeep(database, name, retention, hosts, metrics)


async def all_do(workers: list[DailyUpkeep], now: datetime) -> None:
    await asyncio.gather(*(worker.do_what_is_due(now) for worker in workers))


async def test_of_three_workers_one_prunes_each_day(
    connection: Connection, database: Database
) -> None:
    workers = [upkeep(database, name) for name in ("a", "b", "c")]

    await all_do(workers, _NOW)
    assert len(await connection.fetch(_PRUNES)) == 1
    await all_do(workers, _NOW + timedelta(hours=23, minutes=59))
    assert len(await connection.fetch(_PRUNES)) == 1
    await all_do(workers, _NOW + timedelta(days=1))
    assert len(await connection.fetch(_PRUNES)) == 2


async def test_what_was_pruned_is_counted(connection: Connection, database: Database) -> None:
    await add_many(connection, 1, 5)
    registry = CollectorRegistry()

    await upkeep(database, registry=registry).do_what_is_due()

    assert await runs_left(connection) == []
    assert await connection.fetchval(_PRUNES) == "worker h1"
    assert registry.get_sample_value("cancel_records_pruned_total", {"table": "runs"}) == 5
    pruned_at = registry.get_sample_value("cancel_pruned_timestamp_seconds")
    assert pruned_at is not None
    assert pruned_at >= _NOW.timestamp()


async def test_without_a_retention_nothing_is_pruned(
    connection: Connection, database: Database
) -> None:
    await add_many(connection, 1, 5)

    await upkeep(database, retention=None).do_what_is_due(_NOW)

    assert len(await runs_left(connection)) == 5
    # So a worker that has one still finds it due.
    await upkeep(database).do_what_is_due(_NOW)
    assert await runs_left(connection) == []


async def test_a_prune_that_failed_is_tried_again_within_the_hour(
    connection: Connection, database: Database
) -> None:
    await add_many(connection, 1, 5)
    await connection.execute("ALTER FUNCTION prune_runs RENAME TO prune_nothing")

    await upkeep(database).do_what_is_due(_NOW)  # raises nothing: the worker has other work
    assert len(await runs_left(connection)) == 5
    await connection.execute("ALTER FUNCTION prune_nothing RENAME TO prune_runs")
    await upkeep(database).do_what_is_due(_NOW + timedelta(minutes=59))
    assert len(await runs_left(connection)) == 5
    await upkeep(database).do_what_is_due(_NOW + timedelta(hours=1))

    assert await runs_left(connection) == []


async def test_hosts_that_left_and_own_nothing_are_forgotten(
    connection: Connection, database: Database
) -> None:
    for name, at in (("old", OLD_AT), ("owner", OLD_AT), ("recent", RECENT_AT)):
        await connection.execute(_ADD_HOST, name, at)
    await add_run(connection, 1, {**RUNNING, "host": "owner"})
    await connection.execute(
        "INSERT INTO host_actions (host, action, done_by, run_ids)"
        " VALUES ('old', 'rebooted', 'worker', '{}')"
    )

    await upkeep(database, retention=None, hosts=LIMIT).do_what_is_due(_NOW)

    left = await connection.fetch("SELECT host FROM hosts ORDER BY host")
    assert [row["host"] for row in left] == ["owner", "recent"]
    audit = await connection.fetchrow("SELECT action, object, done_by FROM audit")
    assert audit is not None
    assert tuple(audit) == ("host_forgotten", "old", "worker h1")
    assert await connection.fetchval("SELECT count(*) FROM host_actions WHERE host = 'old'") == 1


async def test_a_worker_does_the_daily_upkeep_as_its_settings_say(system: System) -> None:
    connection: Connection = await asyncpg.connect(system.database_url)
    await add_many(connection, 1, 1)
    await connection.execute("INSERT INTO runs (run_id) VALUES (2)")
    await connection.execute(_ADD_HOST, "left", OLD_AT)

    worker = await system.worker(
        module="tests.support.broker.worker_with_short_pauses", retention="90d", host_retention="8d"
    )

    await worker.event("hosts_forgotten", hosts=["left"])
    await worker.event("records_pruned", runs=1)
    assert await runs_left(connection) == [2]
    await connection.close()
