"""What is done with one delivery, by the class of the exception that its command ends with.

no exception                     its outcome is committed
Forward to another host          publish there
UnknownRun, HostAbandoned,       publish to the next retry queue, after the last to the dead
any unexpected one               letters
Undeliverable, CommandReused,
StopFailed                       publish to the dead letters with the reason
ServiceUnavailable               never seen here: below us, work waits until it gets through
"""

from functools import partial

import structlog
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage

from shared.broker import Publisher
from shared.commands import CancelCommand
from shared.errors import PublishRefused, ServiceUnavailable
from shared.topology import RETRY_DELAYS, Topology
from worker import deliveries
from worker.cancel import Canceler, UnknownRun
from worker.decision import CommandReused, Forward, HostAbandoned
from worker.deliveries import DeadReason, Failure, Undeliverable
from worker.notes import NoteReader, Notes, moved_back
from worker.patience import until_available
from worker.stop.ladder import StopFailed
from worker.store import Origin

log = structlog.get_logger(__name__)


class Settler:
    """Sees to it that a delivery can be acknowledged and nothing is lost by that."""

    def __init__(
        self, canceler: Canceler, publisher: Publisher, topology: Topology, notes: NoteReader
    ) -> None:
        self._canceler = canceler
        self._publisher = publisher
        self._topology = topology
        self._notes = notes

    async def settle(self, message: AbstractIncomingMessage) -> None:
        """Return when an acknowledgement can lose nothing."""
        notes = self._notes.read(message)
        if notes.letter is not None:
            notes = moved_back(notes)
        try:
            command = deliveries.parse(message)
        except Undeliverable as error:
            await self._bury(message, notes, Failure(error.reason, str(error)))
            return
        with structlog.contextvars.bound_contextvars(
            run_id=command.run_id,
            command_id=str(command.command_id),
            correlation_id=message.correlation_id,
        ):
            await self._carry_out(command, message, notes)

    async def _carry_out(
        self, command: CancelCommand, message: AbstractIncomingMessage, notes: Notes
    ) -> None:
        try:
            result = await self._canceler.cancel(command, Origin(notes.via, notes.publisher))
            if isinstance(result, Forward):
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
            await self._publisher.publish(exchange, routing_key, message)
        except PublishRefused as error:
            # The queue is ours and declared: that it refuses is an outage, not an answer.
            raise ServiceUnavailable(str(error)) from error
