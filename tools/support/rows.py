"""Rows of runs in each state, for tests that write them without living through that life."""

import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from uuid import uuid4

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Row: TypeAlias = dict[str, Any]

NOW = "2026-01-02T03:04:05+00:00"

IDENTITY: Row = {
    "started_at": NOW,
    "host": "h1",
    "boot_id": str(uuid4()),
    "pid": 100,
    "start_ticks": 5,
    "launcher_pid": 99,
    "launcher_start_ticks": 4,
    "uid": 0,
    "launch_id": str(uuid4()),
    "containment": "cgroup",
    "cgroup": "/c",
}
STOPPING = {"canceling_at": NOW, "stop_deadline": NOW}
QUEUED: Row = {"status": "queued"}
RUNNING = {"status": "running", **IDENTITY}
CANCELING = {"status": "canceling", **IDENTITY, **STOPPING}
PASS = {"status": "pass", "exit_code": 0, "finished_at": NOW, **IDENTITY}
FAIL = {"status": "fail", "exit_code": 1, "finished_at": NOW, **IDENTITY}
ERROR = {
    "status": "error",
    "error": "runner lost",
    "loss": {"cause": "launcher_died", "proof": "cgroup_empty"},
    "finished_at": NOW,
    **IDENTITY,
}
NEVER_STARTED = {"status": "canceled", "finished_at": NOW, "proof": "never_started"}
STOPPED = {
    "status": "canceled",
    "finished_at": NOW,
    "proof": "cgroup_empty",
    **IDENTITY,
    **STOPPING,
}

IN_EACH_STATE: Final = (QUEUED, RUNNING, CANCELING, PASS, FAIL, ERROR, NEVER_STARTED, STOPPED)


async def insert(
    database: "Connection | PoolConnectionProxy[asyncpg.Record]", table: str, row: Row
) -> None:
    names = ", ".join(row)
    await database.execute(
        f"INSERT INTO {table} ({names}) "  # noqa: S608 - names from this file
        f"SELECT {names} FROM json_populate_record(NULL::{table}, $1::json)",
        json.dumps(row),
    )


def registration(
    run_id: int,
    grace: float | None = None,
    stop_signal: str = "SIGTERM",
    leftovers: str = "stop",
) -> Sequence[Sequence[object]]:
    """The arguments of REGISTER for one run."""
    return [run_id], [grace], [stop_signal], ["tree"], ["{}"], [None], [None], [leftovers]


async def insert_run(pool: "asyncpg.Pool[asyncpg.Record]", run_id: int, row: Row = QUEUED) -> None:
    """Write run `run_id` in a state, with a process identity of its own if it has one."""
    launch = {"launch_id": str(uuid4())} if "launch_id" in row else {}
    async with pool.acquire() as connection:
        await insert(connection, "runs", {"run_id": run_id, **row, **launch})
