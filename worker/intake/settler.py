"""Settles deliveries, by the class of the exception that the command raises.

no exception                     the command is on record, with an outcome or as open
UnknownRun, HostAbandoned,       publish to the next retry queue, or after the last one to the
any unexpected one               dead letters
Undeliverable, CommandReused     publish to the dead letters with the reason
ServiceUnavailable               never raised here: the calls are retried until they succeed
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import structlog
from aio_pika import Message

from shared.aio.retry import until_available
from shared.amqp.keys import CANCEL_KEY, REST_KEY
from shared.amqp.publisher import Publisher
from shared.amqp.topology import RETRY_DELAYS, Topology
from shared.errors import PublishRefused, ServiceUnavailable, Unroutable
from shared.states import CommandState, DeadReason, Outcome, Via
from shared.telemetry.tracing import OUTCOME, Tracer
from worker.decisions.decider import Decider, Decision, Undecidable
from worker.decisions.verdict import (
    CommandReused,
    HostAbandoned,
    InProgress,
    Repeat,
    UnknownRun,
    Wait,
)
from worker.intake.reading import CommandReader, NotACommand, Read
from worker.memory.memory import Decided, Memory
from worker.messages import conversion
from worker.messages.conversion import Failure
from worker.messages.delivery import Delivery
from worker.messages.headers import History, HistoryReader
from worker.metrics import WorkerMetrics
from worker.open_commands.wakes import Wakes
from worker.outbox.answers import Answers
from worker.outbox.relay import Relay
from worker.stop.stops import Stop, Stops
from worker.traces import delivery_span

log = structlog.get_logger(__name__)

_PUBLISHING = 64
"""Maximum number of concurrent publishes. With more than the broker confirms in time, each would be
sent again, and the copies would keep it busy even longer."""


@dataclass(frozen=True, slots=True)
class _DecisionFailed:
    """A command of a batch that cannot be decided on."""

    read: Read
    why: Undecidable


Unsettled = Read | _DecisionFailed | NotACommand
"""A delivery that cannot be settled in a batch."""


class Settler:
    """Settles deliveries, so that they can be acknowledged without a loss."""

    def __init__(
        self,
        decider: Decider,
        stops: Stops,
        publisher: Publisher,
        topology: Topology,
        histories: HistoryReader,
        wakes: Wakes,
        relay: Relay,
        answers: Answers,
        tracer: Tracer,
        metrics: WorkerMetrics,
        memory: Memory,
    ) -> None:
        self._memory = memory
        self._decider = decider
        self._stops = stops
        self._publisher = publisher
        self._topology = topology
        self._own_user = histories.own_user
        self._reader = CommandReader(histories, topology, tracer)
        self._wakes = wakes
        self._relay = relay
        self._answers = answers
        self._tracer = tracer
        self._metrics = metrics
        self._publishing = asyncio.Semaphore(_PUBLISHING)

    async def settle(self, messages: Sequence[Delivery]) -> list[Unsettled | None]:
        """Settle a batch. The result is None for each settled delivery; the others must be settled
        one by one."""
        return await self._settle([self._reader.read(message) for message in messages])

    async def settle_again(self, commands: Sequence[Decided], *, alone: bool) -> list[UUID]:
        """Settle commands whose decisions a failover of Postgres has undone: the ids of those that
        are on record again, with the time at which they came in first.

        Those that cannot be settled in a batch are left for later, unless they are to be settled
        `alone`: then RabbitMQ has what could not be decided, and it is no longer remembered.
        """
        reads = [
            self._reader.read(
                each.message,
                {"received_at": f"recorded again; first received {each.at:%Y-%m-%dT%H:%M:%S.%fZ}"},
            )
            for each in commands
        ]
        unsettled = await self._settle(reads)
        again: list[UUID] = []
        for read, left, earlier in zip(reads, unsettled, commands, strict=True):
            if left is not None and not alone:
                continue
            if left is not None:
                await self.settle_alone(left)
            if isinstance(read, Read) and self._is_remembered_anew(read, earlier):
                again.append(read.command.command_id)
        return again

    def _is_remembered_anew(self, read: Read, earlier: Decided) -> bool:
        """Whether the command was decided on again; if not, it is no longer remembered."""
        command_id = read.command.command_id
        decided = self._memory.commands.get(command_id)
        if decided is None or decided is earlier:
            self._memory.commands.forget(command_id)
            return False
        self._memory.commands.add(
            command_id, decided._replace(at=earlier.at), len(read.message.body)
        )
        return True

    async def _settle(self, reads: Sequence[Read | NotACommand]) -> list[Unsettled | None]:
        now = datetime.now(UTC)
        decided = await self._decide([read for read in reads if isinstance(read, Read)])
        unsettled: list[Unsettled | None] = []
        for read in reads:
            # Of several with the same id, the first one was decided on.
            if isinstance(read, NotACommand) or read.command.command_id not in decided:
                unsettled.append(read)
                continue
            decision = decided.pop(read.command.command_id)
            if isinstance(decision, Undecidable):
                unsettled.append(_DecisionFailed(read, decision))
                continue
            self._remember(read, decision, now)
            self._answer_repeat(read, decision)
            if isinstance(decision, Outcome) and not self._tracer.on:
                self._settled(decision, read.log_fields)
            else:
                with read.span, structlog.contextvars.bound_contextvars(**read.log_fields):
                    self._follow(decision)
            unsettled.append(None)
        return unsettled

    async def settle_alone(self, unsettled: Unsettled) -> None:
        """Settle one delivery; return when it can be acknowledged."""
        if isinstance(unsettled, NotACommand):
            await self._reject(unsettled)
            return
        read, undecidable = (
            (unsettled.read, unsettled.why)
            if isinstance(unsettled, _DecisionFailed)
            else (unsettled, None)
        )
        with read.span, structlog.contextvars.bound_contextvars(**read.log_fields):
            decision: Decision | Exception
            try:
                decision = undecidable or await self._decider.decide(read.request())
            except Exception as error:
                decision = error
            # Not in the except block: a retry may wait for the broker for a long time.
            if isinstance(decision, Exception):
                await self._fail(read, decision)
            else:
                self._remember(read, decision, datetime.now(UTC))
                self._answer_repeat(read, decision)
                self._follow(decision)

    async def _fail(self, read: Read, error: Exception) -> None:
        match error:
            case CommandReused():
                await self._dead_letter(read, Failure(DeadReason.COMMAND_REUSED, str(error)))
            case HostAbandoned():
                await self._retry(read, Failure(DeadReason.HOST_ABANDONED, str(error)))
            case UnknownRun():
                await self._retry(read, Failure(DeadReason.UNKNOWN_RUN, str(error)))
            case _:
                log.error("command_failed", exc_info=error)
                problem = f"{type(error).__name__}: {error}"
                await self._retry(read, Failure(DeadReason.INTERNAL_ERROR, problem))

    def _remember(self, read: Read, decision: Decision, now: datetime) -> None:
        message = read.message
        never_started = decision is Outcome.CANCELED
        decided = Decided(message, now, never_started)
        self._memory.commands.add(read.command.command_id, decided, len(message.body))

    async def _decide(self, reads: Sequence[Read]) -> dict[UUID, Decision | Undecidable]:
        try:
            requests = [read.request() for read in reads]
            if not self._tracer.on:
                return await self._decider.decide_many(requests)
            with self._tracer.each("decide", [read.span for read in reads]):
                return await self._decider.decide_many(requests)
        except Exception as error:
            # One by one: the outage is waited out, or the command that causes the error is found.
            log.warning("batch_not_decided", commands=len(reads), error=str(error))
            return {}

    def _follow(self, decision: Decision) -> None:
        """Start what follows from a recorded decision."""
        match decision:
            case Stop():
                # First: until the recorded stop is started, no task is working on the run.
                self._stops.start(decision)
                result = CommandState.STOPPING.value
                log.info("command_open")
            case InProgress():
                result = CommandState.STOPPING.value
                log.info("command_open")
            case Wait(host):
                result = CommandState.PENDING.value
                log.info("command_open", waits_for=host)
                self._wakes.wake(host)
                self._metrics.waits()
            case Repeat(outcome) | (Outcome() as outcome):
                result = outcome.value
                self._settled(outcome, {})
        if self._tracer.on:
            self._tracer.current().set({OUTCOME: result})

    def _answer_repeat(self, read: Read, decision: Decision) -> None:
        """Tell the outcome to a publisher that asks again: its event has been published."""
        if isinstance(decision, Repeat) and read.reply is not None:
            self._answers.send(read.command.command_id, read.reply)

    def _settled(self, outcome: Outcome, log_fields: Mapping[str, object]) -> None:
        self._metrics.settled(outcome)
        log.info("command_settled", result=outcome, **log_fields)
        self._relay.wake()

    async def _reject(self, rejected: NotACommand) -> None:
        message = rejected.message
        span = delivery_span(self._tracer, self._topology, message, rejected.history)
        fields = {
            "message_id": message.message_id,
            "correlation_id": message.correlation_id,
            "trace_id": span.trace_id,
        }
        known = {name: value for name, value in fields.items() if value is not None}
        with span, structlog.contextvars.bound_contextvars(**known):
            await self._dead_letter(rejected, rejected.failure)

    async def _retry(self, read: Read, failure: Failure) -> None:
        history = read.history
        if history.attempt > len(RETRY_DELAYS):
            await self._dead_letter(read, failure)
            return
        self._tracer.current().fail(failure.reason.value)
        queue = self._topology.retry(RETRY_DELAYS[history.attempt - 1], _way_back(history))
        log.info("command_retried", reason=failure.reason, attempt=history.attempt, queue=queue)
        copy = conversion.for_retry(read.message, history, failure, self._own_user)
        await until_available(partial(self._publish, "", queue, copy))
        self._metrics.retried(failure.reason)

    async def _dead_letter(self, unsettled: Read | NotACommand, failure: Failure) -> None:
        self._tracer.current().fail(failure.reason.value)
        log.warning("command_dead_lettered", reason=failure.reason, error=failure.error)
        copy = conversion.for_dead_letters(
            unsettled.message, unsettled.history, failure, self._own_user
        )
        exchange = self._topology.dead_exchange
        await until_available(partial(self._publish, exchange, self._topology.cancel, copy))
        self._metrics.dead_lettered(failure.reason)

    async def _publish(self, exchange: str, routing_key: str, message: Message) -> None:
        try:
            async with self._publishing:
                await self._publisher.publish(exchange, routing_key, message)
        except Unroutable as error:
            # The queue was deleted, by hand or by a policy with `expires`.
            await self._publisher.declare(self._topology.declare)
            raise ServiceUnavailable(str(error)) from error
        except PublishRefused as error:
            # The queue is ours and declared, so a refusal is an outage.
            raise ServiceUnavailable(str(error)) from error


def _way_back(history: History) -> str:
    """The routing key of a retry: the gateway's key for its own commands, except for replays."""
    came_over_rest = history.routing_key == REST_KEY and history.via is not Via.REPLAY
    return REST_KEY if came_over_rest else CANCEL_KEY
