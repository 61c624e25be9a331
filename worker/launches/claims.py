"""Claims and completions of runs, for their launchers."""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from asyncpg import Record, UniqueViolationError

from shared.aio.batcher import Batcher
from shared.errors import RunCancelError, ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.runs import Run, RunProcess
from shared.states import Containment, RunStatus
from worker.launches import cancellations
from worker.launches import store as launch_store
from worker.launches.cancellations import Cancellation
from worker.launches.expiry import Expiry
from worker.launches.lost_runs import LostRunWatch
from worker.launches.notes.launch_notes import LaunchNotes
from worker.launches.run_cgroups import InsideRun, RunCgroups, discard
from worker.leftovers.left_behind import Json
from worker.leftovers.leftovers import Leftovers
from worker.memory.memory import Claim, Completion, Memory
from worker.outbox.relay import Relay
from worker.processes.cgroup import Cgroup
from worker.processes.identity import Identity, boot_id, pid_namespace
from worker.processes.privileges import Privileges, why_not_found
from worker.processes.scan import Mark, read_launch_id
from worker.stop.run_tree import may_escape
from worker.stop.stops import Stops

log = structlog.get_logger(__name__)

# After these, no process of the run is left to clear away; after `error`, some may be.
_ENDED_WELL = (RunStatus.PASS, RunStatus.FAIL, RunStatus.CANCELED)


class RefusalReason(StrEnum):
    """Why a run may not start. The launcher turns these into its exit code."""

    UNKNOWN = "unknown"
    CANCELED = "canceled"
    ALREADY_STARTED = "already_started"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class LaunchRefusal:
    reason: RefusalReason
    expired_at: datetime | None = None
    """The time by which the run should have started, if it was canceled for that."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """The calling process, as identified by the kernel."""

    identity: Identity
    uid: int


@dataclass(frozen=True, slots=True)
class Claimed:
    launch_id: UUID
    containment: Containment


@dataclass(frozen=True, slots=True)
class Completed:
    status: RunStatus
    stopping: bool
    """Whether a stop of the run, or of what its command left behind, is in progress or about to be
    resumed."""
    left_behind: Json | None = None
    """What became of the processes that the command left behind."""


@dataclass(frozen=True, slots=True)
class _Ended:
    run_id: int
    launcher: Identity
    exit_code: int
    left_behind: Json | None


class CannotProve(RunCancelError):
    """The end of this run could never be proved; the message says why."""


class Launches:
    """Claims runs for waiting children, and records how they ended."""

    def __init__(
        self,
        database: Database,
        host: str,
        cgroups: RunCgroups,
        lost_run_watch: LostRunWatch,
        tasks: asyncio.TaskGroup,
        privileges: Privileges,
        relay: Relay,
        expiry: Expiry,
        leftovers: Leftovers,
        stops: Stops,
        memory: Memory,
        notes: LaunchNotes,
    ) -> None:
        self._stops = stops
        self._memory = memory
        self._notes = notes
        self._database = database
        self._host = host
        self._cgroups = cgroups
        self._privileges = privileges
        self._lost_run_watch = lost_run_watch
        self._relay = relay
        self._expiry = expiry
        self._leftovers = leftovers
        self._boot_id = boot_id()
        self._pid_namespace = pid_namespace()
        self._own = Batcher(self._find_own, tasks)
        self._completions = Batcher(partial(self._complete, sql.endings.COMPLETE), tasks)
        self._endings = Batcher(partial(cancellations.find_ending, database), tasks)

    async def claim(
        self, run_id: int, launcher: Launcher, child: Identity
    ) -> Claimed | LaunchRefusal:
        """Contain `child` and then claim the run for it, in this order.

        In the other order, a cancel could find the cgroup empty and prove the run gone before the
        child has entered it. Raises CannotProve and InsideRun; also ContainmentFailed and
        ServiceUnavailable, after which the same claim may be repeated.
        """
        await self._require_outside(launcher)
        cgroup = self._cgroups.contain(run_id, child)
        # The kernel lists the members of a cgroup. All other processes must be found in /proc.
        must_find = cgroup is None or may_escape(launcher.uid)
        if must_find and (why := why_not_found(self._privileges, launcher.uid, child.pid)):
            await discard(cgroup)
            raise CannotProve(why)
        process = RunProcess(
            host=self._host,
            boot_id=self._boot_id,
            pid=child.pid,
            start_ticks=child.start_ticks,
            launcher_pid=launcher.identity.pid,
            launcher_start_ticks=launcher.identity.start_ticks,
            uid=launcher.uid,
            launch_id=uuid4(),
            containment=Containment.CGROUP if cgroup else Containment.SESSION,
            cgroup=str(cgroup.path) if cgroup else None,
            pid_namespace=self._pid_namespace,
            cgroup_inode=cgroup.inode() if cgroup else None,
        )
        claimed = None  # unknown, also if only the second statement fails
        try:
            async with self._database.transaction() as connection:
                claimed, row, expired = await launch_store.claim_or_find(
                    connection, run_id, process
                )
                if not claimed:
                    await connection.execute(sql.replication.AWAIT_STANDBY)
        except UniqueViolationError:
            claimed = False
            await discard(cgroup)
            raise InsideRun(f"process {child.pid} already belongs to another run") from None
        finally:
            # Also if the result of the commit is unknown. Not earlier: if the launcher dies
            # meanwhile, an unclaimed run cannot be recorded as lost.
            if claimed is not False:
                self._lost_run_watch.watch(run_id, process)
        run = None if row is None else Run.from_record(row)
        if not claimed:
            if run is not None and (earlier := _claim_for(child, run, process)):
                # Perhaps claimed by a worker that then died, and unknown to this one until now.
                self._lost_run_watch.watch(run_id, earlier)
                self._keep_copies(cgroup, earlier, run, row)
                return Claimed(earlier.launch_id, earlier.containment)
            await discard(cgroup)
            if expired:
                self._expiry.count(run_id)
            return _refusal(run)
        self._keep_copies(cgroup, process, run, row)
        self._relay.wake_soon()
        log.info("run_claimed", run_id=run_id, containment=process.containment, pid=child.pid)
        return Claimed(process.launch_id, process.containment)

    def _keep_copies(
        self, cgroup: Cgroup | None, process: RunProcess, run: Run | None, row: Record | None
    ) -> None:
        """Remember the claim, in case a failover or a restore of Postgres undoes it."""
        if run is None or row is None:
            return
        self._memory.claims.add(process.launch_id, Claim(process, run, row))
        self._notes.keep_claim(cgroup, row)

    async def _require_outside(self, launcher: Launcher) -> None:
        """Raise InsideRun for a launcher that was started by a run: it must end with that run.

        Without cgroups, the launch id in its environment at exec tells.
        """
        launch_id = read_launch_id(launcher.identity.pid)
        if launch_id is Mark.UNREADABLE and launcher.uid == os.geteuid():
            # A launcher makes its environment unreadable only when its command runs.
            raise InsideRun("a process whose environment cannot be read may not start a run")
        if not isinstance(launch_id, UUID):
            return
        row = await self._database.fetchrow(sql.runs.IS_LAUNCH, launch_id)
        if row is not None and row[0]:
            raise InsideRun("a process of a run may not start another run")

    async def complete(
        self, run_id: int, launcher: Launcher, exit_code: int, most: float
    ) -> Completed | None:
        """Record the exit code; the status of the run, or None if it is not the launcher's.

        Before, what the command has left behind is stopped, unless it is to be kept; if that takes
        longer than `most` seconds, the launcher must ask again. A run that is being canceled keeps
        its status. Raises ServiceUnavailable.
        """
        run = await self._own.submit((run_id, launcher.identity))
        if run is not None and self._is_stopped(run):
            raise ServiceUnavailable("the record of the stop of this run is not up to date")
        left_behind: Json | None = None
        if run is not None and run.status is RunStatus.RUNNING and run.process is not None:
            try:
                async with asyncio.timeout(most):
                    left_behind = await self._leftovers.stopped(run, run.process)
            except TimeoutError:
                return Completed(RunStatus.RUNNING, stopping=True)
        ended = _Ended(run_id, launcher.identity, exit_code, left_behind)
        row = await self._completions.submit(ended)
        if row is None:  # the run is locked, or is not the launcher's
            [row] = await self._complete(sql.endings.COMPLETE_WAITING, [ended])
        if row is None:
            if self._memory.claim_of(run_id, launcher.identity):
                self._memory.undone.set()
                raise ServiceUnavailable("a failover of Postgres undid the claim of this run")
            return None
        status = RunStatus(row["status"])
        self._leftovers.forget(row["launch_id"], is_over=status in _ENDED_WELL)
        if status in _ENDED_WELL:
            self._lost_run_watch.forget(row["launch_id"])
        self._remember(row, status, exit_code)
        if row["is_news"]:  # during a stop, the launcher asks several times a second
            self._relay.wake()
            log.info("run_completed", run_id=run_id, status=status, exit_code=exit_code)
        is_canceling = status is RunStatus.CANCELING
        return Completed(
            status,
            stopping=is_canceling and await self._is_being_stopped(run_id),
            left_behind=json.loads(row["left_behind"]) if row["left_behind"] else None,
        )

    def _is_stopped(self, run: Run) -> bool:
        """Whether a stop has begun here that is not on record.

        After a failover of Postgres, that is recorded again, and must be before the exit code.
        """
        if run.status is not RunStatus.RUNNING or run.process is None:
            return False
        launch_id = run.process.launch_id
        stop = self._stops.of(run.run_id)
        return launch_id in self._memory.stops or (
            stop is not None and stop.process.launch_id == launch_id
        )

    def _remember(self, row: Record, status: RunStatus, exit_code: int) -> None:
        """And leave no copies but those of what is still there."""
        run_id, launch_id = row["run_id"], row["launch_id"]
        completion = Completion(
            run_id, launch_id, status, exit_code, row["finished_at"], row["left_behind"]
        )
        if row["is_news"]:
            self._memory.completions.add(launch_id, completion)
        if row["cgroup"] is None:
            if status in _ENDED_WELL:
                self._notes.drop(launch_id)
        elif not (cgroup := Cgroup(Path(row["cgroup"]))).remove():
            self._notes.keep_end(cgroup, completion)

    async def cancellation_of(self, run_id: int) -> Cancellation | None:
        """The cancellation that ended or will end the run. Raises ServiceUnavailable."""
        return await self._endings.submit(run_id)

    async def _find_own(self, asked: Sequence[tuple[int, Identity]]) -> list[Run | None]:
        """The runs of these launchers."""
        rows = await self._database.fetch(
            sql.endings.FIND_OWN,
            [run_id for run_id, _ in asked],
            [launcher.pid for _, launcher in asked],
            [launcher.start_ticks for _, launcher in asked],
            self._boot_id,
            self._pid_namespace,
        )
        found = {
            (row["run_id"], Identity(row["launcher_pid"], row["launcher_start_ticks"])): row
            for row in rows
        }
        return [Run.from_record(row) if (row := found.get(each)) else None for each in asked]

    async def _complete(self, query: str, ended: Sequence[_Ended]) -> list[Record | None]:
        rows = await self._database.fetch(
            query,
            [each.run_id for each in ended],
            [each.launcher.pid for each in ended],
            [each.launcher.start_ticks for each in ended],
            [each.exit_code for each in ended],
            self._boot_id,
            self._pid_namespace,
            [json.dumps(each.left_behind) if each.left_behind else None for each in ended],
        )
        by_run = {row["run_id"]: row for row in rows}
        return [by_run.get(each.run_id) for each in ended]

    async def _is_being_stopped(self, run_id: int) -> bool:
        row = await self._database.fetchrow(sql.runs.IS_BEING_STOPPED, run_id)
        return row is not None and row[0]


def _claim_for(child: Identity, run: Run, asked: RunProcess) -> RunProcess | None:
    """An existing claim for `child`, if its launcher lost the response and asks again."""
    has = run.process
    if has is None or run.status is not RunStatus.RUNNING:
        return None
    if (has.host, has.boot_id) != (asked.host, asked.boot_id):
        return None
    if has.pid_namespace not in (None, asked.pid_namespace):
        return None
    if Identity(has.pid, has.start_ticks) != child:
        return None
    return has


def _refusal(run: Run | None) -> LaunchRefusal:
    if run is None:
        return LaunchRefusal(RefusalReason.UNKNOWN)
    if run.status in (RunStatus.CANCELED, RunStatus.CANCELING):
        return LaunchRefusal(RefusalReason.CANCELED, run.start_before if run.expired else None)
    if run.status.is_terminal:
        return LaunchRefusal(RefusalReason.FINISHED)
    return LaunchRefusal(RefusalReason.ALREADY_STARTED)
