"""What is done with one delivery, by the class of the exception that its command ends with.

no exception                     its outcome is committed
Forward to another host          publish there
UnknownRun, HostAbandoned,       publish to the next retry queue, after the last to the dead
any unexpected one               letters
Undeliverable, CommandReused,
StopFailed                       publish to the dead letters with the reason
ServiceUnavailable               never seen here: below us, work waits until it gets through
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog
from aio_pika import Message

from shared.broker import Publisher
from shared.commands import CancelCommand
from shared.errors import PublishRefused, ServiceUnavailable
from shared.states import DeadReason, Outcome, Via
from shared.topology import CANCEL_KEY, REST_KEY, RETRY_DELAYS, Topology
from shared.tracing import NO_SPAN, OUTCOME, Span, Tracer
from worker import deliveries
from worker.cancel import Canceler, Stopping, UnknownRun
from worker.decision import CommandReused, Forward, HostAbandoned
from worker.delivered import Delivered
from worker.deliveries import Failure, Undeliverable
from worker.metrics import WorkerMetrics
from worker.notes import NoteReader, Notes, moved_back
from worker.outbox.relay import Relay
from worker.patience import until_available
from worker.presence import Presence
from worker.stop.ladder import StopFailed
from worker.store import Origin
from worker.traces import delivery_span

log = structlog.get_logger(__name__)

_PUBLISHING = 64
"""Publishes at once. With more than the broker confirms in time, each would be sent again, and the
copies would keep it busy still longer."""

Work = Callable[[], Awaitable[None]]
"""Returns when an acknowledgement can lose nothing."""


@dataclass(frozen=True, slots=True)
class _Read:
    message: Delivered
    notes: Notes
    command: CancelCommand
    faults: Mapping[str, str]
    span: Span

    @property
    def origin(self) -> Origin:
        return Origin(self.notes.via, self.notes.publisher, self.faults)

    @property
    def log_fields(self) -> dict[str, object]:
        fields: dict[str, object] = {
            "run_id": self.command.run_id,
            "command_id": str(self.command.command_id),
            "correlation_id": self.message.correlation_id,
        }
        if self.faults:
            fields["faults"] = dict(self.faults)
        if self.span is not NO_SPAN:
            fields["trace_id"] = self.span.trace_id
        return fields


class Settler:
    """Sees to it that a delivery can be acknowledged and nothing is lost by that."""

    def __init__(
        self,
        canceler: Canceler,
        publisher: Publisher,
        topology: Topology,
        notes: NoteReader,
        presence: Presence,
        relay: Relay,
        tracer: Tracer,
        metrics: WorkerMetrics,
    ) -> None:
        self._canceler = canceler
        self._publisher = publisher
        self._topology = topology
        self._notes = notes
        self._presence = presence
        self._relay = relay
        self._tracer = tracer
        self._metrics = metrics
        self._publishing = asyncio.Semaphore(_PUBLISHING)

    async def begin(self, messages: Sequence[Delivered]) -> list[Work | None]:
        """Settle at once what can be; for each of the others, the work that settles it.

        What is settled can be acknowledged and nothing is lost by that.
        """
        reads = [self._read(message) for message in messages]
        decided = await self._decide([read for read in reads if isinstance(read, _Read)])
        if any(isinstance(each, Outcome) for each in decided.values()):
            self._relay.wake()
        # The first of several with one id is the one that was decided on.
        return [
            self._next(read, decided.pop(read.command.command_id, None))
            if isinstance(read, _Read)
            else read
            for read in reads
        ]

    def _read(self, message: Delivered) -> _Read | Work:
        notes = self._notes.read(message)
        if notes.letter is not None:
            notes = moved_back(notes)
        try:
            reading = deliveries.parse(message, notes)
        except Undeliverable as error:
            return partial(self._refuse, message, notes, Failure(error.reason, str(error)))
        except Exception as error:  # no message may end a worker: it would end the next one too
            log.exception("message_not_read", message_id=message.message_id)
            problem = f"{type(error).__name__}: {error}"
            return partial(self._refuse, message, notes, Failure(DeadReason.MALFORMED, problem))
        if not self._tracer.on:
            return _Read(message, notes, reading.command, reading.faults, NO_SPAN)
        span = delivery_span(self._tracer, self._topology, message, notes, reading.command)
        return _Read(message, notes, reading.command, reading.faults, span)

    async def _decide(self, reads: Sequence[_Read]) -> dict[UUID, Outcome | Stopping]:
        try:
            asked = [(read.command, read.origin) for read in reads]
            if not self._tracer.on:
                return await self._canceler.begin(asked)
            with self._tracer.each("decide", [read.span for read in reads]):
                return await self._canceler.begin(asked)
        except Exception as error:
            # One by one, they are waited for, or the one that is the reason is found.
            log.warning("batch_not_decided", commands=len(reads), error=str(error))
            return {}

    def _next(self, read: _Read, decided: Outcome | Stopping | None) -> Work | None:
        if isinstance(decided, Outcome):
            self._metrics.settled(decided)
            log.info("command_settled", result=decided, **read.log_fields)
            if self._tracer.on:
                read.span.set({OUTCOME: decided.value})
                read.span.end()
            return None
        return partial(
            self._carry_out,
            read,
            decided or partial(self._canceler.cancel, read.command, read.origin),
        )

    async def _carry_out(
        self, read: _Read, work: Callable[[], Awaitable[Outcome | Forward]]
    ) -> None:
        with read.span, structlog.contextvars.bound_contextvars(**read.log_fields):
            await self._do(read.message, read.notes, work)

    async def _refuse(self, message: Delivered, notes: Notes, failure: Failure) -> None:
        span = delivery_span(self._tracer, self._topology, message, notes)
        fields = {
            "message_id": message.message_id,
            "correlation_id": message.correlation_id,
            "trace_id": span.trace_id,
        }
        known = {name: value for name, value in fields.items() if value is not None}
        with span, structlog.contextvars.bound_contextvars(**known):
            await self._bury(message, notes, failure)

    async def _do(
        self,
        message: Delivered,
        notes: Notes,
        work: Callable[[], Awaitable[Outcome | Forward]],
    ) -> None:
        try:
            result = await work()
            self._relay.wake()
            if self._tracer.on:
                outcome = "forward" if isinstance(result, Forward) else result.value
                self._tracer.current().set({OUTCOME: outcome})
            if isinstance(result, Forward):
                await self._presence.believes_alive(result.host)
                await self._forward(message, notes, result.host)
            self._metrics.settled(result)
            log.info("command_settled", result=result)
        except CommandReused as error:
            await self._bury(message, notes, Failure(DeadReason.COMMAND_REUSED, str(error)))
        except StopFailed as error:
            await self._bury(message, notes, Failure(DeadReason.STOP_FAILED, str(error)))
        except HostAbandoned as error:
            await self._retry(message, notes, Failure(DeadReason.HOST_ABANDONED, str(error)))
        except UnknownRun as error:
            await self._retry(message, notes, Failure(DeadReason.UNKNOWN_RUN, str(error)))
        except Exception as error:
            log.exception("command_failed")
            problem = f"{type(error).__name__}: {error}"
            await self._retry(message, notes, Failure(DeadReason.INTERNAL_ERROR, problem))

    async def _forward(self, message: Delivered, notes: Notes, host: str) -> None:
        copy = deliveries.unchanged(message, notes, self._notes.own_user)

        async def move() -> None:
            # The host's queue must be there even if its worker never was.
            await self._publisher.declare(partial(self._topology.declare_host, host=host))
            await self._publish("", self._topology.host(host), copy)

        await until_available(move)

    async def _retry(self, message: Delivered, notes: Notes, failure: Failure) -> None:
        if notes.attempt > len(RETRY_DELAYS):
            await self._bury(message, notes, failure)
            return
        self._tracer.current().fail(failure.reason.value)
        queue = self._topology.retry(RETRY_DELAYS[notes.attempt - 1], _way_back(notes))
        log.info("command_retried", reason=failure.reason, attempt=notes.attempt, queue=queue)
        copy = deliveries.for_retry(message, notes, failure, self._notes.own_user)
        await until_available(partial(self._publish, "", queue, copy))
        self._metrics.retried(failure.reason)

    async def _bury(self, message: Delivered, notes: Notes, failure: Failure) -> None:
        self._tracer.current().fail(failure.reason.value)
        log.warning("command_dead_lettered", reason=failure.reason, error=failure.error)
        copy = deliveries.for_dead_letters(message, notes, failure, self._notes.own_user)
        exchange = self._topology.dead_exchange
        await until_available(partial(self._publish, exchange, self._topology.cancel, copy))
        self._metrics.buried(failure.reason)

    async def _publish(self, exchange: str, routing_key: str, message: Message) -> None:
        try:
            async with self._publishing:
                await self._publisher.publish(exchange, routing_key, message)
        except PublishRefused as error:
            # The queue is ours and declared: that it refuses is an outage, not an answer.
            raise ServiceUnavailable(str(error)) from error


def _way_back(notes: Notes) -> str:
    """The key of a retry. It stays the gateway's, which nobody else may use, but for a replay."""
    came_over_rest = notes.routing_key == REST_KEY and notes.via is not Via.REPLAY
    return REST_KEY if came_over_rest else CANCEL_KEY
