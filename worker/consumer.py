"""The ack rules, and nothing else.

A delivery is acknowledged when its outcome is committed, or when it is confirmed in another queue.
The exception's class decides which:

    no exception                     ack
    Forward to another host          publish there, ack
    UnknownRun, HostAbandoned,       publish to the next retry queue, after the last to the dead
    any unexpected one               letters, ack
    Undeliverable, CommandReused,
    StopFailed                       publish to the dead letters with the reason, ack
    ServiceUnavailable               never seen here: below us, work waits until it gets through
    CancelledError (shutdown)        nothing: the broker delivers it again
"""

import asyncio
from collections.abc import Awaitable
from functools import partial

import structlog
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from shared.broker import DECLARE_TIMEOUT, Publisher, lost_is_an_error, open_channel
from shared.commands import CancelCommand
from shared.errors import PublishRefused, ServiceUnavailable
from shared.tasks import first_of
from shared.topology import RETRY_DELAYS, Topology
from worker import deliveries
from worker.cancel import Canceler, UnknownRun
from worker.decision import CommandReused, Forward, HostAbandoned
from worker.deliveries import DeadReason, Failure, Undeliverable
from worker.notes import NoteReader, Notes, moved_back
from worker.outage import PostgresWatch
from worker.patience import until_available
from worker.presence import Presence
from worker.stop.ladder import StopFailed
from worker.store import Origin

log = structlog.get_logger(__name__)


class Consumer:
    """Takes commands from the shared queue, this host's own, and those of abandoned hosts."""

    def __init__(
        self,
        canceler: Canceler,
        publisher: Publisher,
        topology: Topology,
        host: str,
        prefetch: int,
        tasks: asyncio.TaskGroup,
        notes: NoteReader,
        postgres: PostgresWatch,
        presence: Presence,
    ) -> None:
        self._canceler = canceler
        self._publisher = publisher
        self._topology = topology
        self._host = host
        self._prefetch = prefetch
        self._tasks = tasks
        self._notes = notes
        self._postgres = postgres
        self._presence = presence
        self._in_flight: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def session(self, connection: AbstractConnection) -> None:
        """Consume on `connection` until it closes; once `stop` was called, until canceled.

        While Postgres is away nothing is taken, also not by connecting anew.
        """
        if not self._stopping.is_set():
            await self._serve(connection)
        if self._stopping.is_set():
            # To return would mean to be connected anew, and each delivery that is not taken
            # counts against the delivery limit of its command.
            await asyncio.get_running_loop().create_future()

    async def _serve(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(DECLARE_TIMEOUT):
            channel = await open_channel(connection)
            await channel.set_qos(prefetch_count=self._prefetch)
            await self._topology.declare_worker(channel, self._host)
        while not (self._stopping.is_set() or channel.is_closed):
            await self._unless_over(channel, connection, self._postgres.answers())
            if not (self._stopping.is_set() or channel.is_closed):
                await self._consume(channel, connection)

    async def _consume(self, channel: AbstractChannel, connection: AbstractConnection) -> None:
        """Consume until Postgres is away, or other hosts are abandoned than before."""
        given_up, changed = self._presence.given_up()
        async with asyncio.timeout(DECLARE_TIMEOUT):
            queues = [await channel.get_queue(self._topology.cancel, ensure=False)]
            for host in (self._host, *sorted(given_up)):
                queues.append(await self._topology.declare_host(channel, host))
            tags = [await queue.consume(self._take) for queue in queues]
        log.info("consuming", host=self._host, abandoned=sorted(given_up))
        over = first_of(self._postgres.is_away(), changed.wait())
        await self._unless_over(channel, connection, over)
        if not channel.is_closed:
            for queue, tag in zip(queues, tags, strict=True):
                await queue.cancel(tag)
            if not (self._stopping.is_set() or changed.is_set()):
                log.warning("consuming_paused", reason="Postgres is away")

    async def _unless_over(
        self, channel: AbstractChannel, connection: AbstractConnection, wait: Awaitable[None]
    ) -> None:
        await first_of(wait, connection.closed(), channel.closed(), self._stopping.wait())

    async def stop(self, timeout: float) -> None:
        """Take no more deliveries and give those in flight `timeout` seconds.

        What is not finished then goes back to the broker; its deadline is in the database.
        """
        self._stopping.set()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=timeout)
        for task in self._in_flight:
            task.cancel()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        if self._stopping.is_set():
            return  # not acknowledged, so it goes back when the channel closes
        # In a task of our own: aio-pika cancels its callbacks when the connection dies, and a
        # stop must go on whatever the connection does.
        task = self._tasks.create_task(self._handle(message))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _handle(self, message: AbstractIncomingMessage) -> None:
        try:
            await self._settle(message)
            async with lost_is_an_error():
                await message.ack()
        except (AMQPError, ChannelInvalidStateError, OSError) as error:
            # The broker delivers it again, and finds its outcome on record.
            log.warning("ack_lost", error=str(error) or type(error).__name__)

    async def _settle(self, message: AbstractIncomingMessage) -> None:
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
