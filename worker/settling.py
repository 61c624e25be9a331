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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage

from shared.broker import Publisher
from shared.commands import CancelCommand
from shared.database import Database
from shared.errors import PublishRefused, ServiceUnavailable
from shared.topology import RETRY_DELAYS, Topology
from worker import batch, deliveries
from worker.cancel import Canceler, UnknownRun
from worker.decision import CommandReused, Forward, HostAbandoned
from worker.deliveries import DeadReason, Failure, Undeliverable
from worker.notes import NoteReader, Notes, moved_back
from worker.patience import until_available
from worker.presence import Presence
from worker.stop.ladder import StopFailed
from worker.store import Origin

log = structlog.get_logger(__name__)

_PUBLISHING = 64
"""Publishes at once. With more than the broker confirms in time, each would be sent again, and the
copies would keep it busy still longer."""


@dataclass(frozen=True, slots=True)
class _Read:
    message: AbstractIncomingMessage
    notes: Notes
    command: CancelCommand

    @property
    def origin(self) -> Origin:
        return Origin(self.notes.via, self.notes.publisher)

    @property
    def log_fields(self) -> dict[str, object]:
        return {
            "run_id": self.command.run_id,
            "command_id": str(self.command.command_id),
            "correlation_id": self.message.correlation_id,
        }


class Settler:
    """Sees to it that a delivery can be acknowledged and nothing is lost by that."""

    def __init__(
        self,
        database: Database,
        canceler: Canceler,
        publisher: Publisher,
        topology: Topology,
        notes: NoteReader,
        presence: Presence,
    ) -> None:
        self._database = database
        self._canceler = canceler
        self._publisher = publisher
        self._topology = topology
        self._notes = notes
        self._presence = presence
        self._publishing = asyncio.Semaphore(_PUBLISHING)

    async def settle(self, message: AbstractIncomingMessage) -> None:
        """Return when an acknowledgement can lose nothing."""
        notes = self._notes_of(message)
        try:
            command = deliveries.parse(message)
        except Undeliverable as error:
            await self._bury(message, notes, Failure(error.reason, str(error)))
            return
        read = _Read(message, notes, command)
        with structlog.contextvars.bound_contextvars(**read.log_fields):
            await self._carry_out(read)

    async def settle_many(
        self, messages: Sequence[AbstractIncomingMessage]
    ) -> list[AbstractIncomingMessage]:
        """Settle those of `messages` that take no process to stop, all at once; return which."""
        read = {}
        for message in messages:
            try:
                command = deliveries.parse(message)
            except Undeliverable:
                continue  # `settle` says so
            read[command.command_id] = _Read(message, self._notes_of(message), command)
        try:
            outcomes = await batch.settle(
                self._database, [(each.command, each.origin) for each in read.values()]
            )
        except Exception as error:
            # One by one, they are waited for, or the one that is the reason is found.
            log.warning("batch_not_settled", commands=len(read), error=str(error))
            return []
        settled = []
        for command_id, outcome in outcomes.items():
            each = read[command_id]
            log.info("command_settled", result=outcome, **each.log_fields)
            settled.append(each.message)
        return settled

    def _notes_of(self, message: AbstractIncomingMessage) -> Notes:
        notes = self._notes.read(message)
        return notes if notes.letter is None else moved_back(notes)

    async def _carry_out(self, read: _Read) -> None:
        message, notes = read.message, read.notes
        try:
            result = await self._canceler.cancel(read.command, read.origin)
            if isinstance(result, Forward):
                await self._presence.believes_alive(result.host)
                await self._forward(message, notes, result.host)
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

    async def _forward(self, message: AbstractIncomingMessage, notes: Notes, host: str) -> None:
        copy = deliveries.unchanged(message, notes, self._notes.own_user)

        async def move() -> None:
            # The host's queue must be there even if its worker never was.
            await self._publisher.declare(partial(self._topology.declare_host, host=host))
            await self._publish("", self._topology.host(host), copy)

        await until_available(move)

    async def _retry(
        self, message: AbstractIncomingMessage, notes: Notes, failure: Failure
    ) -> None:
        if notes.attempt > len(RETRY_DELAYS):
            await self._bury(message, notes, failure)
            return
        queue = self._topology.retry(RETRY_DELAYS[notes.attempt - 1])
        log.info("command_retried", reason=failure.reason, attempt=notes.attempt, queue=queue)
        copy = deliveries.for_retry(message, notes, failure, self._notes.own_user)
        await until_available(partial(self._publish, "", queue, copy))

    async def _bury(self, message: AbstractIncomingMessage, notes: Notes, failure: Failure) -> None:
        log.warning("command_dead_lettered", reason=failure.reason, error=failure.error)
        copy = deliveries.for_dead_letters(message, notes, failure, self._notes.own_user)
        exchange = self._topology.dead_exchange
        await until_available(partial(self._publish, exchange, self._topology.cancel, copy))

    async def _publish(self, exchange: str, routing_key: str, message: Message) -> None:
        try:
            async with self._publishing:
                await self._publisher.publish(exchange, routing_key, message)
        except PublishRefused as error:
            # The queue is ours and declared: that it refuses is an outage, not an answer.
            raise ServiceUnavailable(str(error)) from error
