"""The way of one command: decide, and have its stop carried out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from shared.commands import CancelCommand
from shared.database import Connection, Database
from shared.runs import Run
from shared.states import Outcome
from shared.tracing import Tracer
from worker import batch, store
from worker.decision import (
    BeginStop,
    CancelQueued,
    Forward,
    NoOp,
    Pending,
    Repeat,
    ResumeStop,
    StopLeftovers,
    Verdict,
    judge,
)
from worker.patience import until_available
from worker.stop.evidence import never_started
from worker.stops import Stop, Stops
from worker.store import Origin


class UnknownRun(Exception):
    """No such run, yet: its row may be committed a moment from now."""


Stopping = Callable[[], Awaitable[Outcome]]
"""A stop that was begun, to be carried out until its outcome is recorded. Raises StopFailed."""


class Canceler:
    """Carries out commands for the runs of one host. One stop per run, however many commands."""

    def __init__(
        self, database: Database, host: str, default_grace: float, stops: Stops, tracer: Tracer
    ) -> None:
        """`default_grace`: seconds, where neither the command nor the run says how many."""
        self._database = database
        self._host = host
        self._default_grace = default_grace
        self._stops = stops
        self._tracer = tracer
        self._in_decision: dict[int, asyncio.Event] = {}

    async def begin(self, asked: Sequence[batch.Asked]) -> dict[UUID, Outcome | Stopping]:
        """Decide on many commands at once: by command, its outcome or the stop to carry out.

        Those that are missing from the answer take more than that: see `cancel`. Raises
        ServiceUnavailable, after which all of them do.
        """
        chosen = [each for each in batch.one_per_run(asked) if self.is_free(each[0].run_id)]
        if not chosen:
            return {}
        async with self._deciding([command.run_id for command, _ in chosen]):
            decided = await batch.decide(
                self._database,
                chosen,
                host=self._host,
                default_grace=self._default_grace,
            )
            return {
                command_id: self._start(command_id, each) for command_id, each in decided.items()
            }

    def is_free(self, run_id: int) -> bool:
        """Whether nobody here is at work on the run."""
        return self._stops.of(run_id) is None and run_id not in self._in_decision

    @asynccontextmanager
    async def _deciding(self, run_ids: Sequence[int]) -> AsyncIterator[None]:
        """Between the commit and the begin of the stop nobody else may decide for these runs.

        Several may be asked for only if all of them are free, or two might wait for each other.
        """
        decided = asyncio.Event()
        for run_id in run_ids:
            while other := self._in_decision.get(run_id):
                await other.wait()
            self._in_decision[run_id] = decided
        try:
            yield
        finally:
            for run_id in run_ids:
                del self._in_decision[run_id]
            decided.set()

    def _start(self, command_id: UUID, decided: Outcome | batch.Begun) -> Outcome | Stopping:
        if isinstance(decided, Outcome):
            return decided
        run = decided.run
        assert run.process is not None  # noqa: S101 - a CHECK holds it for running and canceling
        return partial(
            self._stops.carry_out, self._stops.begin(run, run.process, command_id, decided.grace)
        )

    async def cancel(self, command: CancelCommand, origin: Origin) -> Outcome | Forward:
        """Carry out `command` until its outcome is recorded, or say to which host it must go.

        Safe to repeat, also after being cut off anywhere. Raises UnknownRun, CommandReused,
        HostAbandoned and StopFailed.
        """
        while True:
            with self._tracer.span("decide"):
                step = await until_available(partial(self._decide, command, origin))
            match step:
                case Stop():
                    return await self._stops.carry_out(step)
                case asyncio.Event():
                    await step.wait()
                case _:
                    return step

    async def stop_ended(self, run_id: int) -> None:
        """Return when no stop of `run_id` is under way here."""
        if stop := self._stops.of(run_id):
            await stop.done.wait()

    async def _decide(
        self, command: CancelCommand, origin: Origin
    ) -> Outcome | Forward | Stop | asyncio.Event:
        async with self._deciding([command.run_id]):
            async with self._database.transaction() as connection:
                situation = await store.lock_run(connection, command)
                if situation is None:
                    raise UnknownRun(f"run {command.run_id} is unknown")
                verdict = judge(
                    situation,
                    command,
                    host=self._host,
                    default_grace=self._default_grace,
                )
                stop, joined = None, None
                if isinstance(verdict, ResumeStop | StopLeftovers):
                    stop = self._stops.of(command.run_id)
                if stop is None:
                    await self._write(connection, command, origin, verdict)
                else:
                    joined = await self._write_joined(connection, command, origin, stop)
            # What follows from it begins with the commit: a command that another run has taken in
            # this moment, or that Postgres has lost, does nothing.
            if stop is None:
                return self._next(situation.run, command.command_id, verdict)
            if command.force:
                stop.escalate.set()
            return joined or stop.done

    async def _write_joined(
        self,
        connection: Connection,
        command: CancelCommand,
        origin: Origin,
        stop: Stop,
    ) -> Outcome | None:
        """A further command on a run whose stop is under way here: at most, it hurries it."""
        hurried = command.force and await store.escalate_stop(connection, command.run_id)
        if stop.command_id == command.command_id:
            return None  # the stop will answer it
        outcome = Outcome.FORCED if hurried else Outcome.NO_OP
        evidence: dict[str, object] = {"stop_in_progress": True}
        await store.record_command(connection, command, origin, outcome, evidence)
        return outcome

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
            case Pending():
                await record(Outcome.NO_OP, {"cancel_pending": True})
            case Forward():
                # On record from now on: whoever looks sees what it waits for.
                await record(None, {})
            case BeginStop(_, grace):
                await store.begin_stop(connection, command.run_id, grace)
                await record(None, {})
            case ResumeStop():
                if command.force:
                    await store.escalate_stop(connection, command.run_id)
                await record(None, {})
            case StopLeftovers():
                await record(None, {})

    def _next(self, run: Run, command_id: UUID, verdict: Verdict) -> Outcome | Forward | Stop:
        match verdict:
            case Repeat(outcome):
                stop = self._stops.of(run.run_id)
                if outcome is Outcome.FORCED and stop is not None:
                    stop.escalate.set()  # the answer to its commit may have been lost
                return outcome
            case CancelQueued():
                return Outcome.CANCELED
            case NoOp() | Pending():
                return Outcome.NO_OP
            case Forward():
                return verdict
            case BeginStop(process, grace) | ResumeStop(process, grace):
                return self._stops.begin(run, process, command_id, grace)
            case StopLeftovers(process):
                return self._stops.begin(run, process, command_id, grace=0, leftovers=True)
