"""The way of one command: decide → stop → record."""

import asyncio
import errno
import signal
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from weakref import WeakValueDictionary

import structlog

from shared.commands import CancelCommand
from shared.database import Connection, Database
from shared.errors import ServiceUnavailable
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
    Verdict,
    judge,
)
from worker.patience import until_available
from worker.stop import ladder
from worker.stop.evidence import Evidence, host_rebooted, never_started
from worker.stop.identity import boot_id
from worker.stop.ladder import StopFailed, StopPlan
from worker.store import Origin
from worker.trees import tree_of

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
    """A stop that this worker is carrying out."""

    run: Run
    process: RunProcess
    deadline: float
    escalate: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Canceler:
    """Carries out commands for the runs of one host. One stop per run, however many commands."""

    def __init__(self, database: Database, host: str, limits: StopLimits) -> None:
        self._database = database
        self._host = host
        self._limits = limits
        self._boot_id = boot_id()
        self._stops: dict[int, _Stop] = {}
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def cancel(self, command: CancelCommand, origin: Origin) -> Outcome | Forward:
        """Carry out `command` until its outcome is recorded, or say to which host it must go.

        Safe to repeat, also after being cut off anywhere. Raises UnknownRun, CommandReused and
        StopFailed.
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
                if under_way is not None and isinstance(verdict, ResumeStop):
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

    async def _carry_out(self, stop: _Stop) -> Outcome:
        run_id = stop.run.run_id
        try:
            evidence = await until_available(partial(self._stop, stop))
            await until_available(partial(self._record_canceled, run_id, evidence))
        except StopFailed as failure:
            await until_available(partial(self._record_failed, run_id, failure.evidence))
            raise
        finally:
            del self._stops[run_id]
            stop.done.set()
        log.info(
            "run_canceled", run_id=run_id, ended=evidence.ended, duration_ms=evidence.duration_ms
        )
        return Outcome.CANCELED

    async def _stop(self, stop: _Stop) -> Evidence:
        if stop.process.boot_id != self._boot_id:
            return host_rebooted()
        plan = StopPlan(signal.Signals[stop.run.stop_signal], stop.deadline, self._limits.kill_wait)
        try:
            with closing(tree_of(stop.process)) as tree:
                return await ladder.stop(tree, plan, stop.escalate)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise ServiceUnavailable(f"this host: {error.strerror}") from error
            raise

    async def _record_canceled(self, run_id: int, evidence: Evidence) -> None:
        async with self._database.transaction() as connection:
            await store.record_canceled(connection, run_id)
            await store.close_commands(connection, run_id, Outcome.CANCELED, evidence)

    async def _record_failed(self, run_id: int, evidence: Evidence) -> None:
        async with self._database.transaction() as connection:
            await store.close_commands(connection, run_id, Outcome.STOP_FAILED, evidence)
