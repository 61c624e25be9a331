"""Completions of runs: how their commands ended, told by their launchers."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from asyncpg import Record

from shared.aio.batcher import Batcher
from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.runs import Run
from shared.states import RunStatus
from worker.launches import cancellations
from worker.launches.cancellations import Cancellation
from worker.launches.lost_runs import LostRunWatch
from worker.launches.notes.launch_notes import LaunchNotes
from worker.launches.peer import Launcher
from worker.leftovers.left_behind import Json
from worker.leftovers.leftovers import Leftovers
from worker.memory.memory import Completion, Memory
from worker.outbox.relay import Relay
from worker.processes.cgroup import Cgroup
from worker.processes.identity import Identity, boot_id, pid_namespace
from worker.stop.stops import Stops

log = structlog.get_logger(__name__)

# After these, no process of the run is left to clear away; after `error`, some may be.
_ENDED_WELL = (RunStatus.PASS, RunStatus.FAIL, RunStatus.CANCELED)


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


class Completions:
    """Records how runs ended, once what their commands left behind is gone."""

    def __init__(
        self,
        database: Database,
        lost_run_watch: LostRunWatch,
        tasks: asyncio.TaskGroup,
        relay: Relay,
        leftovers: Leftovers,
        stops: Stops,
        memory: Memory,
        notes: LaunchNotes,
    ) -> None:
        self._database = database
        self._lost_run_watch = lost_run_watch
        self._relay = relay
        self._leftovers = leftovers
        self._stops = stops
        self._memory = memory
        self._notes = notes
        self._boot_id = boot_id()
        self._pid_namespace = pid_namespace()
        self._own = Batcher(self._find_own, tasks)
        self._completions = Batcher(partial(self._complete, sql.endings.COMPLETE), tasks)
        self._endings = Batcher(partial(cancellations.find_ending, database), tasks)

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
