"""Runs that were canceled before their rows had a proof."""

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from shared.postgres.migrate import Migration, known
from tools.services import Services
from tools.services.databases import new_database
from tools.support.rows import IDENTITY, NOW, STOPPING, Connection, insert

_NUMBER: Final = 10
NEVER_STARTED: Final = {"status": "canceled", "finished_at": NOW}
STOPPED: Final = {"status": "canceled", "finished_at": NOW, **IDENTITY, **STOPPING}


@pytest.fixture
async def before(services: Services) -> AsyncIterator[Connection]:
    async with new_database(services) as url:
        connection = await asyncpg.connect(url)
        for migration in known():
            if migration.number < _NUMBER:
                await connection.execute(migration.sql)
        yield connection
        await connection.close()


async def _add(database: Connection, run_id: int, row: dict[str, Any], *evidence: str) -> None:
    launch = {"launch_id": str(uuid4())} if "launch_id" in row else {}
    await insert(database, "runs", {"stop_signal": "SIGTERM", "run_id": run_id, **row, **launch})
    for second, proof in enumerate(evidence):
        await insert(
            database,
            "cancellations",
            {
                **{"command_id": str(uuid4()), "run_id": run_id, "via": "rest", "force": False},
                **{"received_at": f"2026-01-01T00:00:0{second}+00:00", "finished_at": NOW},
                **{"outcome": "canceled", "evidence": {"proof": proof}, "faults": {}},
            },
        )


async def test_they_get_that_of_the_command_that_ended_them_or_say_that_there_is_none(
    before: Connection,
) -> None:
    await _add(before, 1, NEVER_STARTED, "never_started")
    await _add(before, 2, NEVER_STARTED)
    await _add(before, 3, STOPPED, "cgroup_empty", "host_rebooted")
    await _add(before, 4, STOPPED)
    await _add(before, 5, {"status": "queued"})

    await before.execute(_migration().sql)

    found = await before.fetch("SELECT run_id, proof FROM runs ORDER BY run_id")
    assert [tuple(row) for row in found] == [
        (1, "never_started"),
        (2, "never_started"),
        (3, "cgroup_empty"),
        (4, "not_recorded"),
        (5, None),
    ]


def _migration() -> Migration:
    return next(migration for migration in known() if migration.number == _NUMBER)
