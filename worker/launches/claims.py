"""Claims of runs, for their launchers."""

import os
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

import structlog
from asyncpg import Record, UniqueViolationError

from shared.errors import RunCancelError
from shared.postgres import sql
from shared.postgres.database import Database
from shared.runs import Run, RunProcess
from shared.states import Containment, RunStatus
from worker.launches import store as launch_store
from worker.launches.expiry import Expiry
from worker.launches.lost_runs import LostRunWatch
from worker.launches.notes.launch_notes import LaunchNotes
from worker.launches.peer import Launcher
from worker.launches.run_cgroups import InsideRun, RunCgroups, discard
from worker.memory.memory import Claim, Memory
from worker.outbox.relay import Relay
from worker.processes.cgroup import Cgroup
from worker.processes.identity import Identity, boot_id, pid_namespace
from worker.processes.privileges import Privileges, why_not_found
from worker.processes.scan import Mark, read_launch_id
from worker.stop.run_tree import may_escape

log = structlog.get_logger(__name__)


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
class Claimed:
    launch_id: UUID
    containment: Containment


class CannotProve(RunCancelError):
    """The end of this run could never be proved; the message says why."""


class Claims:
    """Claims runs for waiting children."""

    def __init__(
        self,
        database: Database,
        host: str,
        cgroups: RunCgroups,
        lost_run_watch: LostRunWatch,
        privileges: Privileges,
        relay: Relay,
        expiry: Expiry,
        memory: Memory,
        notes: LaunchNotes,
    ) -> None:
        self._memory = memory
        self._notes = notes
        self._database = database
        self._host = host
        self._cgroups = cgroups
        self._privileges = privileges
        self._lost_run_watch = lost_run_watch
        self._relay = relay
        self._expiry = expiry
        self._boot_id = boot_id()
        self._pid_namespace = pid_namespace()

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
