"""Decides on commands and records the decisions."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from shared.aio.retry import until_available
from shared.postgres.database import Database
from shared.runs import Run
from shared.states import Outcome
from shared.telemetry.tracing import Tracer
from worker.decisions import store as decision_store
from worker.decisions.rows import rows_of, rules
from worker.decisions.store import RecordedStop
from worker.decisions.verdict import (
    BeginAgain,
    BeginStop,
    CancelQueued,
    CommandReused,
    HostAbandoned,
    InProgress,
    Join,
    NoOp,
    OpenAgain,
    Pending,
    Repeat,
    ResumeStop,
    Situation,
    StopLeftovers,
    UnknownRun,
    Verdict,
    Wait,
    judge,
)
from worker.messages.request import Request
from worker.processes.known_launchers import KnownLaunchers
from worker.stop.stops import Stop, Stops

Decision = Outcome | Repeat | Stop | Wait | InProgress
"""The decision on a command: its outcome, or who carries it out. A `Stop` must be started."""


Undecidable = UnknownRun | CommandReused | HostAbandoned
"""Why a command cannot be decided on."""


class Decider:
    """Decides on commands, as the worker of `host`. One stop per run, however many commands."""

    def __init__(
        self,
        database: Database,
        host: str,
        default_grace: float,
        launchers: KnownLaunchers,
        stops: Stops,
        tracer: Tracer,
    ) -> None:
        """`default_grace`: seconds, if neither the command nor the run has a grace period."""
        self._database = database
        self._host = host
        self._default_grace = default_grace
        self._launchers = launchers
        self._stops = stops
        self._tracer = tracer
        self._in_decision: dict[int, asyncio.Event] = {}

    def is_free(self, run_id: int) -> bool:
        """Whether no task here is working on the run."""
        return self._stops.of(run_id) is None and run_id not in self._in_decision

    async def decide_many(self, requests: Iterable[Request]) -> dict[UUID, Decision | Undecidable]:
        """Decide on many commands at once, without waiting for locks.

        Commands that are missing from the result need `decide`. After ServiceUnavailable, all of
        them do; some may already be on record.
        """
        requests = list(requests)
        chosen = self._free(_one_per_run(requests))
        async with self._deciding(chosen):
            # With a stop in progress, the status is not enough.
            free = [each for each in chosen if self._stops.of(each.command.run_id) is None]
            plain = await self._decide_plain(free)
            others = [each for each in chosen if each.command.command_id not in plain]
            decided = await self._decide(others, waits=False)
            # Not earlier: if the others raised, recorded stops would never be started.
            for request in free:
                command_id = request.command.command_id
                if (each := plain.get(command_id)) is not None:
                    decided[command_id] = (
                        each if isinstance(each, Outcome) else self._register(request, each)
                    )
        unknown = {each.run_id for each in decided.values() if isinstance(each, UnknownRun)}
        for command in (each.command for each in requests):
            if command.run_id in unknown:
                decided.setdefault(command.command_id, UnknownRun(command.run_id))
        return decided

    async def take_up(
        self, requests: Sequence[Request], *, counts: bool
    ) -> dict[UUID, Decision | Undecidable]:
        """Likewise for open commands, one per run. Commands that are no longer open are skipped.

        `counts`: whether this counts as a take-up.
        """
        chosen = self._free(requests)
        async with self._deciding(chosen):
            return await self._decide(chosen, waits=False, taking_up=True, counts=counts)

    def _free(self, requests: Iterable[Request]) -> list[Request]:
        """The commands on runs that no other task here is deciding on."""
        return [each for each in requests if each.command.run_id not in self._in_decision]

    async def decide(self, request: Request) -> Decision | Undecidable:
        """Decide on one command, and wait until its run is not locked.

        Safe to repeat, even after it was interrupted anywhere.
        """

        async def decide() -> Decision | Undecidable | None:
            async with self._deciding([request]):
                decided = await self._decide([request], waits=True)
                return decided.get(request.command.command_id)

        with self._tracer.span("decide"):
            while True:
                # No result: the command just got its outcome, or its run was just added.
                if (decided := await until_available(decide)) is not None:
                    return decided

    @asynccontextmanager
    async def _deciding(self, requests: Sequence[Request]) -> AsyncIterator[None]:
        """Reserve runs until their stops have begun, so that no other task decides on them.

        Several runs may be reserved only if all are free; otherwise, two tasks could deadlock.
        """
        run_ids = [each.command.run_id for each in requests]
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

    async def _decide_plain(
        self, requests: Sequence[Request]
    ) -> dict[UUID, Outcome | RecordedStop]:
        """Decide in one statement on commands for which the run's status is enough.

        Most commands are new, and their runs are queued, running here or over. For these, the
        result is the same as that of `_decide`, in half the time.
        """
        if not requests:
            return {}
        return await decision_store.decide_plain(
            self._database,
            requests,
            rules(),
            self._host,
            self._default_grace,
            runs_here=self._launchers.is_of_run,
        )

    def _register(self, request: Request, stop: RecordedStop) -> Stop:
        assert stop.run.process is not None  # noqa: S101 - a CHECK holds it for running
        return self._stops.register(stop.run, stop.run.process, request, stop.grace)

    async def _decide(
        self,
        requests: Sequence[Request],
        *,
        waits: bool,
        taking_up: bool = False,
        counts: bool = False,
    ) -> dict[UUID, Decision | Undecidable]:
        if not requests:
            return {}
        async with self._database.transaction() as connection:
            situations = await decision_store.lock_runs(
                connection, requests, self._host, waits=waits
            )
            missing = [
                each
                for each in requests
                if each.command.command_id not in situations and not taking_up
            ]
            undecidable: dict[UUID, Decision | Undecidable] = {
                each.command.command_id: UnknownRun(each.command.run_id)
                for each in await decision_store.of_unknown_runs(connection, missing)
            }
            judged: list[tuple[Request, Run, Verdict]] = []
            for each in requests:
                command_id = each.command.command_id
                if (situation := situations.get(command_id)) is None:
                    continue
                if taking_up and situation.command_outcome is not None:
                    continue  # since the lookup, it has got its outcome
                try:
                    judged.append((each, situation.run, self._judge(each, situation)))
                except (CommandReused, HostAbandoned) as error:
                    undecidable[command_id] = error
            rows = rows_of((each, verdict) for each, _, verdict in judged)
            recorded = (
                await decision_store.record(connection, rows, taking_up=counts) if rows else set()
            )
            for each, run, verdict in judged:
                if (grace := _grace_for_left_behind(run, verdict)) is not None and (
                    each.command.command_id in recorded
                ):
                    await decision_store.plan_left_behind(connection, run.run_id, grace)
        # Effects start after the commit: a command id that was just used for another run, or a
        # lost commit, has none.
        return undecidable | {
            each.command.command_id: self._follow(each, run, verdict)
            for each, run, verdict in judged
            if each.command.command_id in recorded or isinstance(verdict, Repeat | InProgress)
        }

    def _judge(self, request: Request, situation: Situation) -> Verdict:
        run = situation.run
        stop = self._stops.of(run.run_id)
        if stop is not None and (
            run.process is None or run.process.launch_id != stop.process.launch_id
        ):
            stop = None  # after a failover of Postgres, the run may have been claimed once more
        return judge(
            situation,
            request.command,
            host=self._host,
            default_grace=self._default_grace,
            in_progress=stop.command_id if stop else None,
            in_progress_grace=stop.grace_left if stop else 0.0,
        )

    def _follow(self, request: Request, run: Run, verdict: Verdict) -> Decision:
        command = request.command
        match verdict:
            case Repeat(outcome):
                # The response to its commit may have been lost.
                self._force(run, when=outcome is Outcome.FORCED)
                return verdict
            case InProgress() | OpenAgain() | BeginAgain():
                self._force(run, when=command.force)
                return InProgress()
            case Join(ends_grace):
                self._force(run, when=command.force)
                return Outcome.FORCED if ends_grace else Outcome.NO_OP
            case CancelQueued():
                return Outcome.CANCELED
            case NoOp() | Pending():
                return Outcome.NO_OP
            case Wait():
                return verdict
            case BeginStop(process, grace):
                return self._stops.register(run, process, request, grace)
            case ResumeStop(process, grace, _):
                return self._stops.register(run, process, request, grace)
            case StopLeftovers(process, grace):
                return self._stops.register(run, process, request, grace, leftovers=True)

    def _force(self, run: Run, *, when: bool) -> None:
        if when and (stop := self._stops.of(run.run_id)):
            stop.force.set()


def _grace_for_left_behind(run: Run, verdict: Verdict) -> float | None:
    """The new grace period for what a finished run has left behind, seconds; None: as before."""
    match verdict:
        case StopLeftovers(_, grace, begins=True):
            return grace
        case Join(ends_grace=True) if run.status.is_terminal:
            return 0.0
    return None


def _one_per_run(requests: Iterable[Request]) -> list[Request]:
    """The first command on each run, and the first one of each command id."""
    by_run: dict[int, Request] = {}
    by_id: set[UUID] = set()
    for each in requests:
        command = each.command
        if command.run_id not in by_run and command.command_id not in by_id:
            by_run[command.run_id] = each
        by_id.add(command.command_id)
    return list(by_run.values())
