"""The worker of a host: it registers, sends heartbeats, leaves. Each is one transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from shared.errors import RunCancelError
from shared.postgres import sql
from shared.postgres.database import Connection, Database
from shared.runs import Run, RunProcess
from shared.states import HostState
from worker.evidence import found_empty, host_rebooted
from worker.hosts.store import note
from worker.launches import store as launch_store
from worker.processes.identity import is_machines_own
from worker.stop import record
from worker.stop.run_tree import pids_are_ours, visible_cgroup


@dataclass(frozen=True, slots=True)
class HostWorker:
    """A worker process, as the worker of its host."""

    host: str
    worker_id: UUID
    boot_id: UUID
    machine_id: str | None
    pid_namespace: str
    privileges: Mapping[str, Any]
    beat_seconds: float
    """Interval between heartbeats. Recorded, so that others can tell when the host is silent."""

    def is_on_another_machine(self, machine_id: str | None) -> bool:
        """Whether both ids are known and differ; a machine may have no id."""
        return None not in (self.machine_id, machine_id) and self.machine_id != machine_id


@dataclass(frozen=True, slots=True)
class Registered:
    """The result of registering as the worker of a host."""

    replaced: UUID | None = None
    """The worker that spoke for the host before."""
    heard: datetime | None = None
    """If another worker is up, and nothing was changed: the time of its last heartbeat."""


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """The answer to a heartbeat."""

    is_current: bool
    """Whether it is still the worker of its host."""
    worker_id: UUID | None
    """The worker of the host."""
    abandoned: bool
    has_events: bool
    """Whether the outbox has rows."""
    has_open_commands: bool
    """Whether runs of the host have open commands, including stops in progress."""
    has_expired: bool
    """Whether queued runs, of whatever host, did not start in time."""
    server_started_at: datetime | None = None
    """When the Postgres server that answered was started; None if the host is not on record."""


class OtherMachine(RunCancelError):
    """The host has runs on another machine of the same name."""


class RunsOutsideContainer(RunCancelError):
    """The host has runs in the machine's own pid namespace, which a container's does not see."""

    def __init__(self, run_ids: Sequence[int]) -> None:
        super().__init__(", ".join(map(str, run_ids)))


async def register(database: Database, worker: HostWorker) -> Registered:
    """Register as the worker of the host, and record the runs that a reboot has ended.

    If a worker on another machine or in another pid namespace is up, nothing is changed. Within one
    namespace, the later worker replaces the earlier one.
    Raises OtherMachine and RunsOutsideContainer.
    """
    async with database.transaction() as connection:
        before = await connection.fetchrow(sql.hosts.LOCK_HOST, worker.host)
        rebooted = before is not None and before["boot_id"] != worker.boot_id
        if before is not None and before["state"] == HostState.UP and not _is_same(before, worker):
            return Registered(heard=before["seen_at"])
        is_replaced = before is not None and worker.is_on_another_machine(before["machine_id"])
        if is_replaced and await connection.fetchval(sql.hosts.HAS_RUNS, worker.host):
            # A takeover would decide about processes that another kernel may be running.
            raise OtherMachine
        foreign = await _runs_of_other_namespaces(connection, worker)
        if outside := [run.run_id for run, process in foreign if _is_outside(run, process)]:
            raise RunsOutsideContainer(outside)
        await connection.execute(
            sql.hosts.REGISTER_HOST,
            worker.host,
            worker.worker_id,
            worker.boot_id,
            worker.beat_seconds,
            worker.machine_id,
            worker.pid_namespace,
            json.dumps(worker.privileges),
        )
        if before is not None and before["abandoned_at"] is not None:
            await note(connection, worker.host, "returned", "worker", None, [])
        if is_replaced:
            over = [
                row["run_id"]
                for query in (
                    sql.hosts.CLOSE_LOST_OF_REPLACED,
                    sql.hosts.CLOSE_LEFT_BEHIND_OF_REPLACED,
                )
                for row in await connection.fetch(query, worker.host)
            ]
            await record.close_over(connection, over)
        # Including earlier boots than the recorded one: older versions left such runs.
        gone = [] if is_replaced else await _record_reboot(connection, worker)
        if gone or (rebooted and not is_replaced):
            await note(connection, worker.host, "rebooted", "worker", None, gone)
        await _settle_foreign(connection, worker, foreign)
    return Registered(replaced=None if before is None else before["worker_id"])


async def beat(database: Database, worker: HostWorker) -> HeartbeatAnswer:
    arguments = (worker.host, worker.worker_id)
    row = await database.fetchrow(sql.hosts.BEAT, *arguments)
    if row is not None and not (row["heard"] or row["abandoned"]):
        # If the UPDATE had to wait for an abandon, the other columns show the host as it was before
        # (one snapshot per statement). Only a second query shows the current worker.
        row = await database.fetchrow(sql.hosts.BEAT, *arguments)
    if row is None:  # deleted by hand
        return HeartbeatAnswer(
            is_current=False,
            worker_id=None,
            abandoned=True,
            has_events=False,
            has_open_commands=False,
            has_expired=False,
        )
    return HeartbeatAnswer(
        is_current=row["heard"],
        worker_id=row["worker_id"],
        abandoned=row["abandoned"],
        has_events=row["has_events"],
        has_open_commands=row["has_open_commands"],
        has_expired=row["has_expired"],
        server_started_at=row["server_started_at"],
    )


async def has_old_workers(database: Database) -> bool:
    """Whether a worker of a version without wakes may be up on any host."""
    async with database.connection() as connection:
        found: bool = await connection.fetchval(sql.hosts.HAS_OLD_WORKERS)
    return found


async def leave(database: Database, worker: HostWorker) -> None:
    """Record that the worker ends. Its runs continue."""
    await database.fetchrow(sql.hosts.LEAVE, worker.host, worker.worker_id)


def _is_same(host: Record, worker: HostWorker) -> bool:
    """Whether the previous worker of the host saw the same processes as `worker`."""
    return host["boot_id"] == worker.boot_id and host["pid_namespace"] in (
        None,  # an older version did not record it
        worker.pid_namespace,
    )


async def _runs_of_other_namespaces(
    connection: Connection, worker: HostWorker
) -> list[tuple[Run, RunProcess]]:
    """Unfinished runs of this boot whose pids are of another namespace."""
    runs = await launch_store.open_of_other_namespaces(
        connection, worker.host, worker.boot_id, worker.pid_namespace
    )
    return [
        (run, run.process)
        for run in runs
        if run.process is not None and not pids_are_ours(run.process)
    ]


def _is_outside(run: Run, process: RunProcess) -> bool:
    """Whether the run may be alive in the machine's own namespace, where we cannot see it."""
    if run.status.is_terminal or process.pid_namespace is None:
        return False
    return is_machines_own(process.pid_namespace) and visible_cgroup(process) is None


async def _settle_foreign(
    connection: Connection, worker: HostWorker, foreign: Sequence[tuple[Run, RunProcess]]
) -> None:
    """Record the end of the runs of an earlier container, as far as it can be determined.

    Runs that are alive in a cgroup that is visible from here continue.
    """
    lost = []
    for run, process in foreign:
        cgroup = visible_cgroup(process)
        if cgroup is None:
            await record.lose_out_of_sight(connection, run)
            lost.append(run.run_id)
        elif not cgroup.is_populated():
            await launch_store.record_gone(connection, run, process.launch_id, found_empty())
            lost.append(run.run_id)
    if lost:
        await note(connection, worker.host, "container_lost", "worker", None, sorted(lost))


async def _record_reboot(connection: Connection, worker: HostWorker) -> list[int]:
    on_host = (worker.host, worker.boot_id)
    run_ids = [
        row["run_id"] for row in await connection.fetch(sql.hosts.LOSE_RUNS_OF_REBOOTED, *on_host)
    ]
    for row in await connection.fetch(sql.hosts.FIND_STOPPING_OF_REBOOTED, *on_host):
        run_id: int = row["run_id"]
        await record.record_canceled(connection, run_id, host_rebooted())
        run_ids.append(run_id)
    for query in (sql.hosts.PROVE_LOST_OF_REBOOTED, sql.hosts.PROVE_LEFT_BEHIND_OF_REBOOTED):
        run_ids += [row["run_id"] for row in await connection.fetch(query, *on_host)]
    await record.close_over(connection, run_ids)
    return sorted(run_ids)
