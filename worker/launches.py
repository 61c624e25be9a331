"""Runs as their launchers see them: claimed and completed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from asyncpg import Record

from shared import batch_queries, queries
from shared.database import Database
from shared.runs import Run, RunProcess
from shared.states import Containment, RunStatus
from shared.together import Together
from worker import cancellations, store
from worker.cancellations import Cancellation
from worker.losses import Losses
from worker.stop.cgroup import Cgroup, path_of
from worker.stop.identity import Identity, boot_id, pid_namespace, read_stat
from worker.stop.privileges import Privileges, why_not_found
from worker.stop.watch import EndWatch
from worker.trees import may_escape

log = structlog.get_logger(__name__)

# Seconds.
_DISCARD_WAIT = 1.0

# After these nothing of the run is left to be cleared away; an `error` says nothing of that.
_ENDED_WELL = (RunStatus.PASS, RunStatus.FAIL, RunStatus.CANCELED)


class Refusal(StrEnum):
    """Why a run may not start. The launcher turns these into its exit code."""

    UNKNOWN = "unknown"
    CANCELED = "canceled"
    ALREADY_STARTED = "already_started"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Launcher:
    """The process that asks, as the kernel names it."""

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
    """Whether a stop of the run is under way or about to be resumed."""


@dataclass(frozen=True, slots=True)
class _Ended:
    run_id: int
    launcher: Identity
    exit_code: int


class ContainmentFailed(Exception):
    """The run's process cannot be put where it must be; the message says why."""


class CannotProve(Exception):
    """Of this run nobody could say later that it is gone; the message says why."""


class Launches:
    """Claims runs for waiting children, and records how they ended.

    `runs_root` is where runs get their cgroups, None to go without. With `cgroup_required`, a
    process that cannot be put into one is not started.
    """

    def __init__(
        self,
        database: Database,
        host: str,
        runs_root: Path | None,
        losses: Losses,
        tasks: asyncio.TaskGroup,
        privileges: Privileges,
        *,
        cgroup_required: bool,
    ) -> None:
        self._database = database
        self._host = host
        self._runs_root = runs_root
        self._privileges = privileges
        self._cgroup_required = cgroup_required
        self._losses = losses
        self._boot_id = boot_id()
        self._pid_namespace = pid_namespace()
        self._completions = Together(partial(self._complete, batch_queries.COMPLETE), tasks)
        self._endings = Together(partial(cancellations.find_ending, database), tasks)

    async def claim(self, run_id: int, launcher: Launcher, child: Identity) -> Claimed | Refusal:
        """Contain `child` and then claim the run for it, in this order.

        The other way round a cancel could find the containment empty and call a child proved
        gone that had yet to enter it. Raises CannotProve; also ContainmentFailed and
        ServiceUnavailable, after which the same claim may be made again.
        """
        cgroup = self._contain(run_id, child)
        # What only a cgroup holds shows by itself. The rest must be found in /proc.
        must_find = cgroup is None or may_escape(launcher.uid)
        if must_find and (why := why_not_found(self._privileges, launcher.uid, child.pid)):
            await self._discard(cgroup)
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
        claimed = None
        try:
            async with self._database.transaction() as connection:
                claimed = await store.claim(connection, run_id, process)
                run = await store.find_run(connection, run_id)
        finally:
            # Also where the commit is in doubt. Not earlier: the launcher may die meanwhile, and
            # a run that is not claimed yet cannot be recorded as lost.
            if claimed is not False:
                self._losses.watch(run_id, process)
        if not claimed:
            if run is not None and (earlier := _claim_for(child, run, process)):
                # Perhaps of a worker that died over it, and unknown to this one until now.
                self._losses.watch(run_id, earlier)
                return Claimed(earlier.launch_id, earlier.containment)
            await self._discard(cgroup)
            return _refusal(run)
        log.info("run_claimed", run_id=run_id, containment=process.containment, pid=child.pid)
        return Claimed(process.launch_id, process.containment)

    async def complete(self, run_id: int, launcher: Launcher, exit_code: int) -> Completed | None:
        """Record how the command ended; how the run stands then, None if it is not theirs.

        A run that is being canceled keeps its status. Raises ServiceUnavailable.
        """
        ended = _Ended(run_id, launcher.identity, exit_code)
        row = await self._completions.ask(ended)
        if row is None:  # somebody has it in hand, or it is not theirs
            [row] = await self._complete(batch_queries.COMPLETE_WAITING, [ended])
        if row is None:
            return None
        if row["cgroup"] is not None:
            Cgroup(Path(row["cgroup"])).remove()
        status = RunStatus(row["status"])
        if status in _ENDED_WELL:
            self._losses.ended_well(row["launch_id"])
        if row["is_news"]:  # a launcher whose run is being stopped asks several times a second
            log.info("run_completed", run_id=run_id, status=status, exit_code=exit_code)
        return Completed(
            status, stopping=status is RunStatus.CANCELING and await self._is_being_stopped(run_id)
        )

    async def cancellation_of(self, run_id: int) -> Cancellation | None:
        """The one that ended the run or is to end it. Raises ServiceUnavailable."""
        return await self._endings.ask(run_id)

    async def _complete(self, query: str, ended: Sequence[_Ended]) -> list[Record | None]:
        rows = await self._database.fetch(
            query,
            [each.run_id for each in ended],
            [each.launcher.pid for each in ended],
            [each.launcher.start_ticks for each in ended],
            [each.exit_code for each in ended],
            self._boot_id,
            self._pid_namespace,
        )
        by_run = {row["run_id"]: row for row in rows}
        return [by_run.get(each.run_id) for each in ended]

    async def _is_being_stopped(self, run_id: int) -> bool:
        row = await self._database.fetchrow(queries.IS_BEING_STOPPED, run_id)
        return row is not None and row[0]

    def _contain(self, run_id: int, child: Identity) -> Cgroup | None:
        if self._runs_root is None:
            return None
        # Named for the child as well: run ids come again in another installation's database.
        cgroup = Cgroup(self._runs_root / f"run-{run_id}-{child.pid}-{child.start_ticks}")
        try:
            cgroup.create()
            before = path_of(child.pid)
            cgroup.add(child.pid)
            _require_same(child, before)
        except OSError as error:
            cgroup.remove()
            if self._cgroup_required:
                raise ContainmentFailed(f"cannot use {cgroup.path}: {error.strerror}") from None
            log.warning("run_without_cgroup", run_id=run_id, error=str(error))
            return None
        return cgroup

    async def _discard(self, cgroup: Cgroup | None) -> None:
        """End a child that may not start. It waits at its barrier and has run nothing."""
        if cgroup is None:
            return
        watch = EndWatch()
        watch.add_cgroup(cgroup)
        cgroup.kill()
        if cgroup.is_populated():
            await watch.wait(_DISCARD_WAIT)
        watch.close()
        cgroup.remove()


def _require_same(child: Identity, before: Path | None) -> None:
    """Raise ContainmentFailed if the child died and its pid, now another's, was moved instead."""
    stat = read_stat(child.pid)
    if stat is not None and stat.identity == child:
        return
    if stat is not None and before is not None:
        Cgroup(before).add(child.pid)
    raise ContainmentFailed(f"process {child.pid} died while it was being contained")


def _claim_for(child: Identity, run: Run, asked: RunProcess) -> RunProcess | None:
    """The claim that `child` has already: its launcher lost the answer and asks again."""
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


def _refusal(run: Run | None) -> Refusal:
    if run is None:
        return Refusal.UNKNOWN
    if run.status in (RunStatus.CANCELED, RunStatus.CANCELING):
        return Refusal.CANCELED
    return Refusal.FINISHED if run.status.is_terminal else Refusal.ALREADY_STARTED
