"""Runs of a host in Postgres: claim, loss, end.

Each statement runs in the caller's transaction.
"""

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from asyncpg import Record

from shared.postgres import sql
from shared.postgres.database import Connection
from shared.runs import Run, RunProcess
from shared.states import RunStatus
from worker.evidence import Evidence
from worker.stop.record import close_over, lock_run, record_canceled, record_leftovers


async def claim_or_find(
    connection: Connection, run_id: int, process: RunProcess
) -> tuple[bool, Record | None, bool]:
    """Claim the run. Return whether it was claimed, and its row, or None if it does not exist.

    A queued run that is claimed too late is canceled as expired; the third result says so.
    """
    expired = False
    has_claimed = await _claim(connection, run_id, process)
    run = await find_run(connection, run_id)
    if not has_claimed and run is not None and run["status"] == RunStatus.QUEUED:
        # Too late; or added between the two statements, as each sees what is committed when it
        # begins.
        has_claimed = await _claim(connection, run_id, process)
        if not has_claimed:
            expired = await connection.fetchval(sql.registrations.EXPIRE_ONE, run_id) is not None
        run = await find_run(connection, run_id)
    return has_claimed, run, expired


async def _claim(connection: Connection, run_id: int, process: RunProcess) -> bool:
    return await connection.fetchval(sql.runs.CLAIM_RUN, *claimed(run_id, process)) is not None


def claimed(run_id: int, process: RunProcess) -> Sequence[object]:
    """The arguments of the statements that claim a run for a process."""
    return (
        run_id,
        process.host,
        process.boot_id,
        process.pid,
        process.start_ticks,
        process.launcher_pid,
        process.launcher_start_ticks,
        process.uid,
        process.launch_id,
        process.containment,
        process.cgroup,
        process.pid_namespace,
        process.cgroup_inode,
    )


async def find_run(connection: Connection, run_id: int) -> Record | None:
    return await connection.fetchrow(sql.runs.FIND_RUN, run_id)


async def live_on(connection: Connection, host: str) -> list[Run]:
    """Runs that are running or being canceled."""
    return [
        Run.from_record(row) for row in await connection.fetch(sql.runs.LIST_LIVE_ON_HOST, host)
    ]


async def unproved_on(connection: Connection, host: str, boot_id: UUID) -> list[Run]:
    """Lost runs of this boot that may have processes left."""
    rows = await connection.fetch(sql.runs.LIST_UNPROVED_ON_HOST, host, boot_id)
    return [Run.from_record(row) for row in rows]


async def open_of_other_namespaces(
    connection: Connection, host: str, boot_id: UUID, namespace: str
) -> list[Run]:
    """Runs of this boot that are not over or may have processes left; locked."""
    rows = await connection.fetch(sql.runs.LIST_OPEN_OF_OTHER_NAMESPACES, host, boot_id, namespace)
    return [Run.from_record(row) for row in rows]


async def record_unreported(connection: Connection, run_id: int, launch_id: UUID) -> bool:
    """Whether that was recorded just now."""
    return await connection.fetchval(sql.runs.RECORD_UNREPORTED, run_id, launch_id) is not None


async def record_launcher_died(
    connection: Connection,
    run_id: int,
    launch_id: UUID,
    kept: Mapping[str, object] | None = None,
) -> RunProcess | None:
    """The process of the run, if that is lost and may have some left; `kept` is what runs on.

    Also if an earlier attempt recorded it.
    """
    await lock_run(connection, run_id)
    found = json.dumps(kept or {})
    await connection.execute(sql.runs.RECORD_LAUNCHER_DIED, run_id, launch_id, found)
    row = await connection.fetchrow(sql.runs.FIND_UNPROVED, run_id, launch_id)
    return Run.from_record(row).process if row else None


async def record_gone(
    connection: Connection, run: Run, launch_id: UUID, evidence: Evidence
) -> None:
    """Record that the run is gone: canceled if it was being canceled, else lost."""
    if not await record_canceled(connection, run.run_id, evidence):
        await record_launcher_died(connection, run.run_id, launch_id)
        await record_leftovers(connection, run.run_id, evidence)
        await close_over(connection, [run.run_id])
