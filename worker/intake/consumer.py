"""The ack rules, and nothing else.

A delivery is acknowledged once it is settled: its command is committed, with an outcome or as open,
or it is confirmed in another queue. At shutdown, unsettled deliveries are not acknowledged: the
broker delivers them again.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from shared.aio.tasks import end, first_of
from shared.amqp.channels import DECLARE_TIMEOUT, close_channel, open_channel, underlay
from shared.amqp.topology import Topology
from worker.intake.acks import Unacknowledged
from worker.intake.fair_queue import FairQueue
from worker.intake.old_host_queue import OldHostQueue
from worker.intake.settler import Settler, Unsettled
from worker.messages.delivery import Delivery, consume
from worker.metrics import WorkerMetrics
from worker.open_commands.open_commands import OpenCommands
from worker.postgres_watch import PostgresWatch

log = structlog.get_logger(__name__)

_MOST = 500
"""A batch of deliveries: those that arrived during the previous batch."""
_BEHIND = 100
"""Waiting deliveries from which events give way: more than arrive while a few are decided on."""
_MOST_BYTES = 256 * 1024
"""Bytes of bodies per batch: enough for 500 commands, and quick to read."""


@dataclass(frozen=True, slots=True, eq=False)
class _Received:
    message: Delivery
    unacknowledged: Unacknowledged
    """The other deliveries of its channel."""


class Consumer:
    """Takes commands from the shared queues, and wakes for this host from its own."""

    def __init__(
        self,
        settler: Settler,
        topology: Topology,
        host: str,
        prefetch: int,
        tasks: asyncio.TaskGroup,
        postgres: PostgresWatch,
        open_commands: OpenCommands,
        old_host_queue: OldHostQueue,
        metrics: WorkerMetrics,
    ) -> None:
        """`prefetch`: maximum number of unacknowledged deliveries per queue."""
        self._settler = settler
        self._topology = topology
        self._host = host
        self._prefetch = prefetch
        self._tasks = tasks
        self._postgres = postgres
        self._open_commands = open_commands
        self._old_host_queue = old_host_queue
        self._metrics = metrics
        self._arrived: FairQueue[_Received] = FairQueue(lambda it: len(it.message.body))
        self._batch: Sequence[_Received] = ()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """The number of deliveries being settled."""
        # While there are some, one of the tasks settles them.
        waiting = len(self._arrived) + len(self._batch)
        return waiting + len(self._in_flight) - bool(waiting)

    @property
    def is_behind(self) -> bool:
        """Whether so many commands wait for a decision that less urgent work should wait."""
        return len(self._arrived) + len(self._batch) >= _BEHIND

    async def session(self, connection: AbstractConnection) -> None:
        """Consume on `connection` until it closes; once `stop` was called, until canceled.

        While Postgres is unavailable, nothing is consumed, even after a reconnect.
        """
        if not self._stopping.is_set():
            await self._serve(connection)
        if self._stopping.is_set():
            # A return would reconnect, and each unsettled delivery counts against the delivery
            # limit of its command.
            await asyncio.get_running_loop().create_future()

    async def _serve(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(DECLARE_TIMEOUT):
            # It stays open for as long as the connection: without one, aio-pika 10.2 does not say
            # that the connection is lost.
            channel = await open_channel(connection)
            await self._topology.declare_worker(channel)
            wakes = await self._topology.declare_wake_queue(channel, self._host)
            await consume(await underlay(channel), wakes.name, self._woken, no_ack=True)
        await self._unless_over(channel, self._postgres.until_available())
        settling = asyncio.create_task(self._old_host_queue.settle(connection, self._take))
        try:
            while not (self._stopping.is_set() or channel.is_closed):
                self._open_commands.wake()  # wakes may have been lost meanwhile
                if not await self._consume(connection):
                    return
                await self._unless_over(channel, self._postgres.until_available())
        finally:
            await end(settling)

    async def _consume(self, connection: AbstractConnection) -> bool:
        """Consume until Postgres is unavailable or `stop` has ended; False if the channel was lost.

        The channel is closed at the end. With a consumer canceled instead, RabbitMQ would deliver
        its unacknowledged messages to nobody if the node of this connection failed, until their
        queue got another leader (seen with 3.10.8 and 4.0.5; `test_node_fails_during_a_stop`).
        """
        async with asyncio.timeout(DECLARE_TIMEOUT):
            channel = await open_channel(connection)
            # The prefetch applies to each consumer.
            await channel.set_qos(prefetch_count=self._prefetch)
            raw = await underlay(channel)
            unacknowledged = Unacknowledged()
            for queue in (self._topology.rest, self._topology.cancel):
                await consume(raw, queue, partial(self._take, unacknowledged, queue))
        log.info("consuming", host=self._host)
        await self._unless_over(channel, self._postgres.until_unavailable())
        if self._stopping.is_set():
            await first_of(self._drained.wait(), channel.closed())
        elif not channel.is_closed:
            log.warning("consuming_paused", reason="Postgres is unavailable")
        if channel.is_closed:
            return False
        await close_channel(channel)
        return True

    async def _unless_over(self, channel: AbstractChannel, wait: Awaitable[None]) -> None:
        await first_of(wait, channel.closed(), self._stopping.wait())

    async def stop(self, until: float) -> None:
        """Consume no more, and settle the deliveries in flight until the loop time `until`.

        Unsettled ones go back to the broker.
        """
        self._stopping.set()
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while self._in_flight:  # stops that were just decided on begin meanwhile
                    await asyncio.wait(self._in_flight)
        for task in self._in_flight:
            task.cancel()
        self._drained.set()

    async def _take(self, unacknowledged: Unacknowledged, queue: str, message: Delivery) -> None:
        unacknowledged.add(message.delivery_tag)
        if self._stopping.is_set():
            return  # not acknowledged, so it goes back when the channel closes
        if message.redelivered:
            self._metrics.redelivered()
        self._arrived.add(queue, _Received(message, unacknowledged))
        if not self._batch and len(self._arrived) == 1:
            self._start(self._settle_arrived())

    async def _woken(self, _: Delivery) -> None:
        self._open_commands.wake()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        # In our own task: aio-pika cancels its callbacks when the connection is lost, but a stop
        # must continue.
        task = self._tasks.create_task(work)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _settle_arrived(self) -> None:
        """Settle batches of deliveries, and one by one those that cannot be settled in a batch."""
        while batch := self._arrived.take(_MOST, _MOST_BYTES):
            self._batch = batch  # this task also settles the deliveries that arrive meanwhile
            unsettled = await self._settler.settle([delivery.message for delivery in batch])
            pairs = list(zip(batch, unsettled, strict=True))
            await self._acknowledge_all([delivery for delivery, rest in pairs if rest is None])
            for delivery, rest in pairs:
                if rest is not None:
                    self._start(self._settle_alone(delivery, rest))
            await asyncio.sleep(0)  # the above may not have waited, and other tasks need their turn
            # Not earlier: until here, this task settles the new deliveries.
            self._batch = ()

    async def _settle_alone(self, delivery: _Received, unsettled: Unsettled) -> None:
        await self._settler.settle_alone(unsettled)
        await self._acknowledge([delivery])

    async def _acknowledge_all(self, settled: Sequence[_Received]) -> None:
        for unacknowledged in {delivery.unacknowledged for delivery in settled}:
            await self._acknowledge(
                [each for each in settled if each.unacknowledged is unacknowledged]
            )

    async def _acknowledge(self, deliveries: Sequence[_Received]) -> None:
        """Acknowledge deliveries of one channel."""
        first = deliveries[0]
        try:
            tags = [each.message.delivery_tag for each in deliveries]
            await first.unacknowledged.acknowledge(first.message.channel, tags)
        except (AMQPError, ChannelInvalidStateError, OSError) as error:
            # They will be redelivered, and their commands are already on record.
            log.warning("ack_lost", error=str(error) or type(error).__name__)
