"""Takes up open commands on runs of this host.

A worker looks for them when it starts, when another worker wakes it, when its connections are back,
and at each heartbeat. It has already begun the commands that it decided on itself.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NoReturn
from uuid import UUID

import structlog

from shared.aio.retry import until_available
from shared.aio.tasks import first_of
from shared.errors import ServiceUnavailable
from shared.postgres.database import Database
from shared.states import Outcome
from shared.telemetry.tracing import COMMAND_ID, NO_SPAN, RUN_ID, Span, Tracer
from worker.decisions.decider import Decider, Decision, Undecidable
from worker.evidence import workers_ended
from worker.messages.kept_header import properties_in
from worker.messages.request import Request
from worker.metrics import WorkerMetrics
from worker.open_commands import store as open_store
from worker.open_commands.store import OpenCommand
from worker.outbox.relay import Relay
from worker.stop import record
from worker.stop.stops import Stop, Stops

_BATCH: Final = 500
"""Maximum number of commands taken up in one transaction."""
_MAX_STOPS: Final = 2000
"""Number of stops in progress at which no more are taken up: each needs memory and descriptors."""
_LOOK_AGAIN: Final = 0.2
"""Seconds."""
_MAX_TAKE_UPS: Final = 5
"""A stop that crashes its worker, or fails unexpectedly, must not be repeated forever."""

Decided = Mapping[UUID, Decision | Undecidable | None]
"""None: an unexpected error. No entry: the run is locked by another transaction."""

log = structlog.get_logger(__name__)


class OpenCommands:
    """Takes up open commands on runs of `host`."""

    def __init__(
        self,
        database: Database,
        host: str,
        decider: Decider,
        stops: Stops,
        relay: Relay,
        tracer: Tracer,
        metrics: WorkerMetrics,
    ) -> None:
        self._database = database
        self._host = host
        self._decider = decider
        self._stops = stops
        self._relay = relay
        self._tracer = tracer
        self._metrics = metrics
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Hint that there may be open commands; the table decides."""
        self._woken.set()

    async def run(self) -> NoReturn:
        """Take up open commands, whenever woken."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._take_up_all()
            except Exception:  # the next heartbeat wakes again
                log.exception("commands_not_taken_up")

    async def _take_up_all(self) -> None:
        seen: set[int] = set()
        while True:
            is_full = self._stops.number >= _MAX_STOPS
            if found := await until_available(partial(self._find, seen, only_forced=is_full)):
                seen.update(each.request.command.run_id for each in found)
                await self._take_up(found)
            elif is_full:
                await first_of(self._stops.fewer_than(_MAX_STOPS), self._woken.wait())
                self._woken.clear()
                seen.clear()
            else:
                return

    async def _find(self, seen: Iterable[int], *, only_forced: bool) -> list[OpenCommand]:
        """Open commands whose runs are not in hand here, and forced ones on stops in progress."""
        return await open_store.find_open(
            self._database,
            self._host,
            _BATCH,
            excluded=[*self._stops.runs(in_grace=False), *seen],
            in_grace=self._stops.runs(in_grace=True),
            only_forced=only_forced,
        )

    async def _take_up(self, found: Sequence[OpenCommand]) -> None:
        for each in found:
            if each.taken_up >= _MAX_TAKE_UPS:
                await until_available(partial(self._give_up, each.request))
        found = [each for each in found if each.taken_up < _MAX_TAKE_UPS]
        decided = await self._decide([each.request for each in found])
        for each in found:
            command_id = each.request.command.command_id
            if command_id not in decided:
                # The run is locked at this moment, for example because its launcher is just
                # reporting to a worker that just started. The next heartbeat may come after the
                # deadline.
                asyncio.get_running_loop().call_later(_LOOK_AGAIN, self.wake)
            elif (decision := decided[command_id]) and not isinstance(decision, Undecidable):
                self._follow(each, decision)

    async def _decide(self, requests: Sequence[Request]) -> Decided:
        try:
            return await self._decider.take_up(requests, counts=True)
        except ServiceUnavailable:
            # It may have been counted but not begun: outages must not use up the allowed take-ups.
            return await until_available(partial(self._decider.take_up, requests, counts=False))
        except Exception:
            if len(requests) == 1:
                log.exception("command_not_taken_up", run_id=requests[0].command.run_id)
                return {requests[0].command.command_id: None}
        # One of them is the cause; the others must not suffer for it.
        decided: dict[UUID, Decision | Undecidable | None] = {}
        for each in requests:
            decided |= await self._decide([each])
        return decided

    def _follow(self, open_command: OpenCommand, decision: Decision) -> None:
        command = open_command.request.command
        fields = {"run_id": command.run_id, "command_id": str(command.command_id)}
        with self._span(open_command), structlog.contextvars.bound_contextvars(**fields):
            if isinstance(decision, Stop):
                self._stops.start(decision)
                log.info("command_taken_up")
            elif isinstance(decision, Outcome):
                self._metrics.settled(decision)
                log.info("command_settled", result=decision)
                self._relay.wake()

    def _span(self, open_command: OpenCommand) -> Span:
        """Continue the trace of the message in which the command arrived."""
        if not self._tracer.on:
            return NO_SPAN
        command = open_command.request.command
        about = {RUN_ID: str(command.run_id), COMMAND_ID: str(command.command_id)}
        header = open_command.message_header
        headers = properties_in(header).headers if header else None
        return self._tracer.span("take up", attributes=about, headers=headers or {})

    async def _give_up(self, request: Request) -> None:
        run_id = request.command.run_id
        async with self._database.transaction() as connection:
            # First, as in all transactions: another order could deadlock.
            await record.lock_run(connection, run_id)
            is_open = await open_store.is_open(connection, request.command.command_id)
            if not (is_open and self._decider.is_free(run_id)):
                return
            evidence = workers_ended(_MAX_TAKE_UPS)
            await record.close_commands(connection, run_id, Outcome.STOP_FAILED, evidence)
        self._metrics.settled(Outcome.STOP_FAILED)
        log.error("command_given_up", run_id=run_id, taken_up=_MAX_TAKE_UPS)
        self._relay.wake()
