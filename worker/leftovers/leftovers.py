"""Stops what a command has left behind, before its run is over.

    command ended ─▶ look ─┬─ nothing left ─────────────────▶ exit code recorded
                           ├─ registered to keep it ────────▶ exit code recorded, with what is kept
                           └─ on record ─▶ stop ladder ─────▶ exit code recorded, with the evidence

The run stays `running` until then. A cancel that comes meanwhile takes the stop over.
"""

import asyncio
import json
from dataclasses import dataclass
from functools import partial
from signal import Signals
from time import monotonic
from typing import Final
from uuid import UUID

import structlog

from shared.aio.retry import until_available
from shared.aio.tasks import first_of
from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.runs import Run, RunProcess
from shared.states import LeftoversPolicy
from worker.evidence import Evidence, StopFailed
from worker.leftovers import left_behind
from worker.leftovers.left_behind import Json
from worker.metrics import WorkerMetrics
from worker.processes.identity import Identity, read_stat
from worker.stop.ladder import StopPlan
from worker.stop.run_stopper import Left, RunStopper
from worker.stop.run_tree import OutOfSight
from worker.stop.stops import Stops

log = structlog.get_logger(__name__)

_STOPPING: Final = "the worker is being stopped"


@dataclass(frozen=True, slots=True)
class _Stopping:
    launcher: Identity
    task: asyncio.Task[Json | None]


class Leftovers:
    """One stop per launch, however often its launcher asks.

    `grace` and `kill_wait` are in seconds. A run's own grace period counts if it is shorter.
    """

    def __init__(
        self,
        database: Database,
        grace: float,
        kill_wait: float,
        tasks: asyncio.TaskGroup,
        stopper: RunStopper,
        stops: Stops,
        metrics: WorkerMetrics,
    ) -> None:
        self._database = database
        self._grace = grace
        self._kill_wait = kill_wait
        self._tasks = tasks
        self._stopper = stopper
        self._stops = stops
        self._metrics = metrics
        self._stopping: dict[UUID, _Stopping] = {}
        self._is_over = False

    async def stopped(self, run: Run, process: RunProcess) -> Json | None:
        """What became of the processes that the command of `run` left behind.

        None if there are none, or if a cancel has taken the run over. May be interrupted and
        repeated: the stop goes on. Raises ServiceUnavailable.
        """
        if self._is_over:
            raise ServiceUnavailable(_STOPPING)
        if (stopping := self._stopping.get(process.launch_id)) is None:
            found = await self._look(process)
            if run.leftovers is LeftoversPolicy.KEEP:
                return self._kept(run, found) if found.any else None
            # With a record, an earlier worker began this.
            if not (found.any or run.leftovers_noted):
                return None
            stopping = self._begin(run, process, found)
        try:
            return await asyncio.shield(stopping.task)
        except asyncio.CancelledError:
            if stopping.task.cancelled():
                raise ServiceUnavailable(_STOPPING) from None
            raise

    def hand_over(self) -> None:
        """Leave the stops in progress to the next worker, which the launchers ask then.

        What ended from now on could not be recorded any more.
        """
        self._is_over = True
        for each in self._stopping.values():
            each.task.cancel()

    def forget(self, launch_id: UUID, *, is_over: bool) -> None:
        """The exit code is on record; `is_over` is False while the run is being canceled."""
        self._stopping.pop(launch_id, None)
        if is_over:
            self._stopper.over(launch_id)

    def _kept(self, run: Run, found: Left) -> Json:
        self._metrics.leftovers_kept()
        left_behind.log_kept(run.run_id, found)
        return left_behind.kept(found)

    async def _look(self, process: RunProcess) -> Left:
        try:
            return await self._stopper.left_of(process)
        except OutOfSight:  # recorded by an old version, in another container
            return Left()

    def _begin(self, run: Run, process: RunProcess, found: Left) -> _Stopping:
        self._stopping = {
            launch_id: each
            for launch_id, each in self._stopping.items()
            if not each.task.done() or _is_there(each.launcher)
        }
        # Another request may have begun it during the look.
        stopping = self._stopping.get(process.launch_id)
        if stopping is None:
            launcher = Identity(process.launcher_pid, process.launcher_start_ticks)
            task = self._tasks.create_task(self._stop(run, process, found))
            stopping = self._stopping[process.launch_id] = _Stopping(launcher, task)
        return stopping

    async def _stop(self, run: Run, process: RunProcess, found: Left) -> Json | None:
        try:
            grace = await until_available(partial(self._note, run, process, found))
            if grace is None:
                return None
            evidence = await self._evidence(run, process, grace)
        except Exception:
            log.exception("left_behind_not_stopped", run_id=run.run_id)
            return left_behind.found(found)
        if evidence is None:
            return None
        self._metrics.leftovers_stopped(evidence)
        log.info(
            "left_behind_stopped",
            run_id=run.run_id,
            processes=len(found.processes),
            containers=len(found.containers),
            ended=evidence.ended,
            duration_ms=evidence.duration_ms,
        )
        return left_behind.stopped(evidence)

    async def _note(self, run: Run, process: RunProcess, found: Left) -> float | None:
        """Record what was found; the rest of the grace period, or None if the run is not running.

        A later worker then knows of it, and continues with the same deadline.
        """
        grace = min(self._grace, self._grace if run.grace_seconds is None else run.grace_seconds)
        row = await self._database.fetchrow(
            sql.runs.NOTE_LEFT_BEHIND,
            run.run_id,
            process.launch_id,
            json.dumps(left_behind.found(found)),
            grace,
        )
        return None if row is None else max(0.0, row["grace_left"])

    async def _evidence(self, run: Run, process: RunProcess, grace: float) -> Evidence | None:
        """The result of the stop; None if a cancel has taken it over."""
        plan = StopPlan(Signals[run.stop_signal], monotonic() + grace, self._kill_wait)
        stop = partial(self._stopper.stop, process, plan)
        stopping = asyncio.ensure_future(until_available(stop))
        await first_of(stopping, self._stops.begins(run.run_id))
        if stopping.cancelled():
            return None
        try:
            return stopping.result()
        except StopFailed as failure:
            return failure.evidence


def _is_there(launcher: Identity) -> bool:
    stat = read_stat(launcher.pid)
    return stat is not None and stat.identity == launcher
