"""When a host is up, and when it is not: by Postgres' clock and the host's own heartbeat."""

from typing import Any
from uuid import uuid4

import pytest

from shared.postgres import sql
from tools.support.rows import Connection, insert

pytestmark = pytest.mark.asyncio(loop_scope="module")

_BEAT = 100.0
"""Seconds: the time that a test takes is no part of it."""


async def _state(database: Connection, beats_ago: float, **columns: Any) -> str:
    """The state of a host whose last heartbeat was so many heartbeats ago."""
    row = {"host": "h1", "worker_id": str(uuid4()), "boot_id": str(uuid4()), "beat_seconds": _BEAT}
    await insert(database, "hosts", {**row, "seen_at": "2026-01-02T03:04:05Z", **columns})
    await database.execute(
        "UPDATE hosts SET seen_at = clock_timestamp() - make_interval(secs => $1)",
        beats_ago * _BEAT,
    )
    return str(await database.fetchval(sql.hosts.FIND_STATE, "h1"))


@pytest.mark.parametrize(
    ("beats_ago", "state"),
    [(0, "up"), (1.1, "up"), (2.1, "up"), (2.9, "up"), (3.1, "silent"), (30, "silent")],
)
async def test_a_host_is_silent_after_three_heartbeats_that_were_missed(
    database: Connection, beats_ago: float, state: str
) -> None:
    assert await _state(database, beats_ago) == state

    # A function has the same rule once more: a host that is up is not forgotten.
    refused = await database.fetchval("SELECT forget_host('h1', 'ops')")
    assert refused == ("up" if state == "up" else None)


@pytest.mark.parametrize("beats_ago", [0, 30])
@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ({"left_at": "2026-01-02T03:04:05Z"}, "left"),
        ({"abandoned_at": "2026-01-02T03:04:05Z", "worker_id": None}, "abandoned"),
    ],
)
async def test_a_host_that_left_or_was_abandoned_is_neither_up_nor_silent(
    database: Connection, beats_ago: float, columns: dict[str, Any], state: str
) -> None:
    assert await _state(database, beats_ago, **columns) == state


async def test_a_host_that_no_worker_speaks_for_is_silent(database: Connection) -> None:
    assert await _state(database, 0, worker_id=None) == "silent"
