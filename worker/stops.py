"""Stops under way: carried out until their outcome is recorded."""

import asyncio
import signal
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from uuid import UUID

import structlog

from shared.database import Database
from shared.runs import Run, RunProcess
from shared.states import Outcome
from shared.together import Together
from shared.tracing import OUTCOME, Tracer
from worker import batch, store
from worker.known_launchers import KnownLaunchers
from worker.metrics import WorkerMetrics
from worker.outbox.relay import Relay
from worker.patience import until_available
from worker.stop.evidence import Ended, Evidence
from worker.stop.ladder import StopFailed, StopPlan
from worker.traces import stop_within_span
from worker.trees import OutOfSight, stop_tree

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop that this worker is carrying out, of a run or of what a lost run left."""

    run: Run
    process: RunProcess
    command_id: UUID
    """The command that began it, or took it up again."""
    deadline: float
    leftovers: bool = False
    escalate: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Stops:
    """One stop per run. `kill_wait` is in seconds, after SIGKILL."""

    def __init__(
        self,
        database: Database,
        kill_wait: float,
        tasks: asyncio.TaskGroup,
        launchers: KnownLaunchers,
        relay: Relay,
        tracer: Tracer,
        metrics: WorkerMetrics,
    ) -> None:
        self._database = database
        self._kill_wait = kill_wait
        self._launchers = launchers
        self._relay = relay
        self._tracer = tracer
        self._metrics = metrics
        self._under_way: dict[int, Stop] = {}
        self._records = Together(partial(batch.record_canceled, database), tasks)

    @property
    def number(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    def of(self, run_id: int) -> Stop | None:
        """The stop of `run_id` that is under way."""
        return self._under_way.get(run_id)

    def begin(
        self,
        run: Run,
        process: RunProcess,
        command_id: UUID,
        grace: float,
        *,
        leftovers: bool = False,
    ) -> Stop:
        """A stop that has to be carried out now; in `grace` seconds the run is killed."""
        self._launchers.add(process)
        stop = Stop(run, process, command_id, monotonic() + grace, leftovers)
        self._under_way[run.run_id] = stop
        return stop

    async def carry_out(self, stop: Stop) -> Outcome:
        """Stop the run and record that. Raises StopFailed, once that is recorded."""
        run_id = stop.run.run_id
        try:
            evidence = await until_available(partial(self._stop, stop))
            self._metrics.stopped(evidence)
            with self._tracer.span("record") as span:
                outcome = await until_available(partial(self._record, stop, evidence))
                span.set({OUTCOME: outcome.value})
            return outcome
        except StopFailed as failure:
            self._metrics.stopped(failure.evidence)
            with self._tracer.span("record") as span:
                await until_available(partial(self._record_failed, stop, failure.evidence))
                span.set({OUTCOME: Outcome.STOP_FAILED.value})
            raise
        except OutOfSight:
            await until_available(partial(self._record_out_of_sight, stop))
            return Outcome.NOT_PROVED
        finally:
            self._relay.wake()
            del self._under_way[run_id]
            stop.done.set()

    async def _stop(self, stop: Stop) -> Evidence:
        plan = StopPlan(signal.Signals[stop.run.stop_signal], stop.deadline, self._kill_wait)
        work = partial(stop_tree, stop.process, plan, stop.escalate, self._launchers)
        return await stop_within_span(self._tracer, max(0.0, stop.deadline - monotonic()), work)

    async def _record(self, stop: Stop, evidence: Evidence) -> Outcome:
        run_id = stop.run.run_id
        if not stop.leftovers and await self._records.ask((run_id, evidence)):
            log.info("run_canceled", **_summary(run_id, evidence))
            return Outcome.CANCELED
        outcome = _outcome(stop, evidence)
        async with self._database.transaction() as connection:
            await store.lock(connection, run_id)
            canceled = not stop.leftovers and await store.record_canceled(
                connection, run_id, evidence
            )
            # Not there to be canceled: lost, or its host was abandoned during the stop. Or it is
            # canceled already, by an earlier attempt whose answer was lost.
            lost = not canceled and await store.record_leftovers(connection, run_id, evidence)
            await store.close_commands(connection, run_id, outcome, evidence)
        if stop.leftovers or lost:
            log.info("leftovers_stopped", **_summary(run_id, evidence))
        else:
            log.info("run_canceled", **_summary(run_id, evidence))
        return outcome

    async def _record_out_of_sight(self, stop: Stop) -> None:
        async with self._database.transaction() as connection:
            await store.lose_out_of_sight(connection, stop.run)
        log.warning("run_out_of_sight", run_id=stop.run.run_id)

    async def _record_failed(self, stop: Stop, evidence: Evidence) -> None:
        async with self._database.transaction() as connection:
            await store.lock(connection, stop.run.run_id)
            # Of a run that is lost, or was since its host was abandoned; of no other.
            await store.record_leftovers(connection, stop.run.run_id, evidence)
            await store.close_commands(connection, stop.run.run_id, Outcome.STOP_FAILED, evidence)


def _summary(run_id: int, evidence: Evidence) -> dict[str, object]:
    return {"run_id": run_id, "ended": evidence.ended, "duration_ms": evidence.duration_ms}


def _outcome(stop: Stop, evidence: Evidence) -> Outcome:
    if not stop.leftovers:
        return Outcome.CANCELED
    gone_before = evidence.ended is Ended.ALREADY_GONE
    return Outcome.NO_OP if gone_before else Outcome.LEFTOVERS_STOPPED
