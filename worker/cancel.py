"""The way of one command: decide → stop → record."""

import asyncio
import signal
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from weakref import WeakValueDictionary

import structlog

from shared.commands import CancelCommand
from shared.database import Connection, Database
from shared.runs import Run, RunProcess
from shared.states import Outcome
from worker import store
from worker.decision import (
    BeginStop,
    CancelQueued,
    Forward,
    NoOp,
    Repeat,
    ResumeStop,
    Situation,
    StopLeftovers,
    Verdict,
    judge,
)
from worker.patience import until_available
from worker.stop.evidence import Ended, Evidence, never_started
from worker.stop.ladder import StopFailed, StopPlan
from worker.store import Origin
from worker.trees import stop_tree

log = structlog.get_logger(__name__)


class UnknownRun(Exception):
    """No such run, yet: its row may be committed a moment from now."""


@dataclass(frozen=True, slots=True)
class StopLimits:
    """Seconds: the grace period where nobody names one, and the wait after SIGKILL."""

    default_grace: float
    kill_wait: float


@dataclass(frozen=True, slots=True)
class _Stop:
    """A stop that this worker is carrying out, of a run or of what a lost run left."""

    run: Run
    process: RunProcess
    deadline: float
    leftovers: bool = False
    escalate: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Canceler:
    """Carries out commands for the runs of one host. One stop per run, however many commands."""

    def __init__(self, database: Database, host: str, limits: StopLimits) -> None:
        self._database = database
        self._host = host
        self._limits = limits
        self._stops: dict[int, _Stop] = {}
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def cancel(self, command: CancelCommand, origin: Origin) -> Outcome | Forward:
        """Carry out `command` until its outcome is recorded, or say to which host it must go.

        Safe to repeat, also after being cut off anywhere. Raises UnknownRun, CommandReused,
        HostAbandoned and StopFailed.
        """
        while True:
            step = await until_available(partial(self._decide, command, origin))
            match step:
                case _Stop():
                    return await self._carry_out(step)
                case asyncio.Event():
                    await step.wait()
                case _:
                    return step

    async def stop_ended(self, run_id: int) -> None:
        """Return when no stop of `run_id` is under way here."""
        if stop := self._stops.get(run_id):
            await stop.done.wait()

    async def _decide(
        self, command: CancelCommand, origin: Origin
    ) -> Outcome | Forward | _Stop | asyncio.Event:
        # Between the commit and the entry in `_stops` nobody else may decide for this run.
        async with self._locks.setdefault(command.run_id, asyncio.Lock()):
            async with self._database.transaction() as connection:
                situation = await store.lock_run(connection, command)
                if situation is None:
                    raise UnknownRun(f"run {command.run_id} is unknown")
                verdict = judge(
                    situation,
                    command,
                    host=self._host,
                    default_grace=self._limits.default_grace,
                )
                under_way = self._stops.get(command.run_id)
                if under_way is not None and isinstance(verdict, ResumeStop | StopLeftovers):
                    return await self._join(connection, command, origin, situation, under_way)
                await self._write(connection, command, origin, verdict)
            return self._next(situation.run, verdict)

    async def _join(
        self,
        connection: Connection,
        command: CancelCommand,
        origin: Origin,
        situation: Situation,
        stop: _Stop,
    ) -> Outcome | asyncio.Event:
        """A further command on a run whose stop is under way here: at most, it hurries it."""
        if command.force:
            await store.escalate_stop(connection, command.run_id)
            stop.escalate.set()
        if situation.command_run_id is not None:  # its row is open: the stop will answer it
            return stop.done
        await store.record_command(
            connection, command, origin, Outcome.NO_OP, {"stop_in_progress": True}
        )
        return Outcome.NO_OP

    async def _write(
        self, connection: Connection, command: CancelCommand, origin: Origin, verdict: Verdict
    ) -> None:
        record = partial(store.record_command, connection, command, origin)
        match verdict:
            case CancelQueued():
                await store.cancel_queued(connection, command.run_id)
                await record(Outcome.CANCELED, never_started().as_json())
            case NoOp(status):
                await record(Outcome.NO_OP, {"run_status": status})
            case BeginStop(_, grace):
                await store.begin_stop(connection, command.run_id, grace)
                await record(None, {})
            case ResumeStop():
                if command.force:
                    await store.escalate_stop(connection, command.run_id)
                await record(None, {})
            case StopLeftovers():
                await record(None, {})

    def _next(self, run: Run, verdict: Verdict) -> Outcome | Forward | _Stop:
        match verdict:
            case Repeat(outcome):
                return outcome
            case CancelQueued():
                return Outcome.CANCELED
            case NoOp():
                return Outcome.NO_OP
            case Forward():
                return verdict
            case BeginStop(process, grace) | ResumeStop(process, grace):
                stop = _Stop(run, process, deadline=monotonic() + grace)
                self._stops[run.run_id] = stop
                return stop
            case StopLeftovers(process):
                stop = _Stop(run, process, deadline=monotonic(), leftovers=True)
                self._stops[run.run_id] = stop
                return stop

    async def _carry_out(self, stop: _Stop) -> Outcome:
        run_id = stop.run.run_id
        try:
            evidence = await until_available(partial(self._stop, stop))
            return await until_available(partial(self._record, stop, evidence))
        except StopFailed as failure:
            await until_available(partial(self._record_failed, stop, failure.evidence))
            raise
        finally:
            del self._stops[run_id]
            stop.done.set()

    async def _stop(self, stop: _Stop) -> Evidence:
        plan = StopPlan(signal.Signals[stop.run.stop_signal], stop.deadline, self._limits.kill_wait)
        return await stop_tree(stop.process, plan, stop.escalate)

    async def _record(self, stop: _Stop, evidence: Evidence) -> Outcome:
        run_id = stop.run.run_id
        outcome = _outcome(stop, evidence)
        async with self._database.transaction() as connection:
            # Not there to be canceled any more: its host was abandoned during the stop.
            lost = stop.leftovers or not await store.record_canceled(connection, run_id)
            if lost:
                await store.record_leftovers(connection, stop.run.run_id, evidence)
            await store.close_commands(connection, run_id, outcome, evidence)
        log.info(
            "leftovers_stopped" if lost else "run_canceled",
            run_id=run_id,
            ended=evidence.ended,
            duration_ms=evidence.duration_ms,
        )
        return outcome

    async def _record_failed(self, stop: _Stop, evidence: Evidence) -> None:
        async with self._database.transaction() as connection:
            # Of a run that is lost, or was since its host was abandoned; of no other.
            await store.record_leftovers(connection, stop.run.run_id, evidence)
            await store.close_commands(connection, stop.run.run_id, Outcome.STOP_FAILED, evidence)


def _outcome(stop: _Stop, evidence: Evidence) -> Outcome:
    if not stop.leftovers:
        return Outcome.CANCELED
    gone_before = evidence.ended is Ended.ALREADY_GONE
    return Outcome.NO_OP if gone_before else Outcome.LEFTOVERS_STOPPED
