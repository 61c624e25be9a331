"""Stops in progress, until their outcome is recorded."""

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from uuid import UUID

import structlog

from shared.aio.batcher import Batcher
from shared.aio.retry import until_available
from shared.errors import RunCancelError, ServiceUnavailable
from shared.postgres.database import Database
from shared.runs import Run, RunProcess
from shared.states import Outcome
from shared.telemetry.tracing import OUTCOME, Tracer
from worker.evidence import Ended, Evidence, StopFailed, timestamp
from worker.memory.kinds import Healed
from worker.memory.memory import EndedStop, Memory
from worker.messages.request import Request
from worker.metrics import WorkerMetrics
from worker.outbox.relay import Relay
from worker.processes.known_launchers import KnownLaunchers
from worker.stop import record
from worker.stop.ladder import StopPlan
from worker.stop.run_stopper import RunStopper
from worker.stop.run_tree import OutOfSight
from worker.traces import stop_within_span

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop in progress on this worker, of a run or of the leftovers of one that is over."""

    run: Run
    process: RunProcess
    request: Request
    """The command that began it or resumed it."""
    deadline: float
    """The end of the grace period, by the monotonic clock."""
    leftovers: bool = False
    force: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to end the grace period."""
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def command_id(self) -> UUID:
        return self.request.command.command_id

    @property
    def grace_left(self) -> float:
        """Seconds."""
        return 0.0 if self.force.is_set() else max(0.0, self.deadline - monotonic())

    def may_be_forced(self, now: float) -> bool:
        """Whether a forced command would still end its grace period earlier."""
        return not self.force.is_set() and now < self.deadline


class Undone(RunCancelError):
    """By the record, the run has not been stopped and is not over: a failover undid that."""


class Stops:
    """One stop per run. `kill_wait` is in seconds, after SIGKILL."""

    def __init__(
        self,
        database: Database,
        kill_wait: float,
        tasks: asyncio.TaskGroup,
        launchers: KnownLaunchers,
        stopper: RunStopper,
        relay: Relay,
        tracer: Tracer,
        metrics: WorkerMetrics,
        memory: Memory,
    ) -> None:
        self._memory = memory
        self._database = database
        self._kill_wait = kill_wait
        self._launchers = launchers
        self._stopper = stopper
        self._relay = relay
        self._tracer = tracer
        self._metrics = metrics
        self._tasks = tasks
        self._in_progress: dict[int, Stop] = {}
        self._started: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._awaited: dict[int, asyncio.Event] = {}
        self._records = Batcher(partial(record.record_canceled_unless_locked, database), tasks)

    @property
    def number(self) -> int:
        """The number of stops in progress."""
        return len(self._in_progress)

    def runs(self, *, in_grace: bool) -> list[int]:
        """The runs with a stop in progress, in their grace period or after it."""
        now = monotonic()
        return [
            run_id
            for run_id, stop in self._in_progress.items()
            if stop.may_be_forced(now) == in_grace
        ]

    async def fewer_than(self, most: int) -> None:
        """Return when fewer than `most` stops are in progress."""
        while self.number >= most:
            self._ended.clear()
            await self._ended.wait()

    def of(self, run_id: int) -> Stop | None:
        """The stop of `run_id` that is in progress."""
        return self._in_progress.get(run_id)

    async def ended(self, run_id: int) -> None:
        """Return when no stop of `run_id` is in progress here."""
        if stop := self._in_progress.get(run_id):
            await stop.done.wait()

    async def begins(self, run_id: int) -> None:
        """Return when a stop of `run_id` is in progress here."""
        if run_id in self._in_progress:
            return
        begun = self._awaited.setdefault(run_id, asyncio.Event())
        try:
            await begun.wait()
        finally:
            self._awaited.pop(run_id, None)

    def register(
        self,
        run: Run,
        process: RunProcess,
        request: Request,
        grace: float,
        *,
        leftovers: bool = False,
    ) -> Stop:
        """Register a stop that kills the run in `grace` seconds. The caller must start it.

        Do not await anything before: no other task takes up a run whose stop is in progress.
        """
        self._launchers.add(run.run_id, process)
        stop = Stop(run, process, request, monotonic() + grace, leftovers)
        self._in_progress[run.run_id] = stop
        if begun := self._awaited.get(run.run_id):
            begun.set()
        return stop

    def start(self, stop: Stop) -> None:
        """Start it, independently of the delivery that asked for it."""
        self._relay.wake_soon()  # that it has begun is an event
        task = self._tasks.create_task(self._carry_out(stop))
        self._started.add(task)
        task.add_done_callback(self._started.discard)

    async def finish(self, until: float) -> None:
        """Continue until the loop time `until`, then leave the other stops to the next worker.

        Their commands are open, and their deadlines are in the database.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while self._started:
                    await asyncio.wait(self._started)
        unfinished = {stop.run.run_id: stop.command_id for stop in self._in_progress.values()}
        for task in self._started:
            task.cancel()
        if unfinished:
            log.info("stops_handed_over", runs=len(unfinished))
            try:
                async with self._database.connection() as connection:
                    await record.hand_on(connection, unfinished)
            except ServiceUnavailable as error:  # they count as taken up once more
                log.warning("handover_not_recorded", error=str(error))

    async def _carry_out(self, stop: Stop) -> None:
        try:
            outcome = await self._until_recorded(stop)
            self._metrics.settled(outcome)
            log.info("command_settled", result=outcome)
        except Undone:
            log.warning("stop_undone", run_id=stop.run.run_id)
            self._memory.undone.set()
        except Exception:  # the next heartbeat takes it up
            log.exception("stop_not_carried_out", run_id=stop.run.run_id)
        finally:
            self._relay.wake()
            if self._in_progress.get(stop.run.run_id) is stop:
                del self._in_progress[stop.run.run_id]
            self._stopper.over(stop.process.launch_id)
            stop.done.set()
            self._ended.set()

    async def _until_recorded(self, stop: Stop) -> Outcome:
        """Stop the run and record that. Raises Undone."""
        ended = self._memory.stops.get(stop.process.launch_id)
        if ended is not None:  # it was proved gone before, and that was not recorded or was undone
            evidence = replace(ended.evidence, recorded_again_at=timestamp())
            self._metrics.recorded_again(Healed.STOP, 1)
            return await until_available(partial(self._record, stop, evidence))
        try:
            evidence = await until_available(partial(self._stop, stop))
        except StopFailed as failure:
            log.warning("stop_failed", run_id=stop.run.run_id, error=str(failure))
            self._metrics.stopped(failure.evidence)
            work = partial(self._record_failed, stop, failure.evidence)
        except OutOfSight:
            work = partial(self._record_out_of_sight, stop)
        else:
            self._metrics.stopped(evidence)
            self._remember(stop, evidence)
            work = partial(self._record, stop, evidence)
        with self._tracer.span("record") as span:
            outcome = await until_available(work)
            span.set({OUTCOME: outcome.value})
        return outcome

    def _remember(self, stop: Stop, evidence: Evidence) -> None:
        ended = EndedStop(stop.run, stop.process, stop.request, evidence)
        self._memory.stops.add(stop.process.launch_id, ended)

    async def _stop(self, stop: Stop) -> Evidence:
        plan = StopPlan(
            signal.Signals[stop.run.stop_signal],
            stop.deadline,
            self._kill_wait,
            stop.run.stop_scope,
        )
        work = partial(self._stopper.stop, stop.process, plan, stop.force)
        return await stop_within_span(self._tracer, max(0.0, stop.deadline - monotonic()), work)

    async def _record(self, stop: Stop, evidence: Evidence) -> Outcome:
        run_id, launch_id = stop.run.run_id, stop.process.launch_id
        if not stop.leftovers and await self._records.submit((run_id, launch_id, evidence)):
            log.info("run_canceled", **_summary(run_id, evidence))
            return Outcome.CANCELED
        outcome = _outcome(stop, evidence)
        async with self._database.transaction() as connection:
            await record.lock_run(connection, run_id)
            canceled = not stop.leftovers and await record.record_canceled(
                connection, run_id, evidence, launch_id
            )
            # No longer `canceling`: lost, or its host was abandoned during the stop. Or already
            # canceled, by an earlier attempt whose response was lost.
            lost = not canceled and await record.record_leftovers(connection, run_id, evidence)
            if not (canceled or lost) and await record.is_undone(connection, run_id, launch_id):
                raise Undone
            if not canceled:
                await record.close_commands(connection, run_id, outcome, evidence)
        if stop.leftovers or lost:
            log.info("leftovers_stopped", **_summary(run_id, evidence))
        else:
            log.info("run_canceled", **_summary(run_id, evidence))
        return outcome

    async def _record_out_of_sight(self, stop: Stop) -> Outcome:
        async with self._database.transaction() as connection:
            await record.lose_out_of_sight(connection, stop.run)
        log.warning("run_out_of_sight", run_id=stop.run.run_id)
        return Outcome.NOT_PROVED

    async def _record_failed(self, stop: Stop, evidence: Evidence) -> Outcome:
        async with self._database.transaction() as connection:
            await record.lock_run(connection, stop.run.run_id)
            # Only for lost runs, including those of a host abandoned meanwhile.
            await record.record_leftovers(connection, stop.run.run_id, evidence)
            await record.close_commands(connection, stop.run.run_id, Outcome.STOP_FAILED, evidence)
        return Outcome.STOP_FAILED


def _summary(run_id: int, evidence: Evidence) -> dict[str, object]:
    return {"run_id": run_id, "ended": evidence.ended, "duration_ms": evidence.duration_ms}


def _outcome(stop: Stop, evidence: Evidence) -> Outcome:
    if not stop.leftovers:
        return Outcome.CANCELED
    gone_before = evidence.ended is Ended.ALREADY_GONE
    return Outcome.NO_OP if gone_before else Outcome.LEFTOVERS_STOPPED
