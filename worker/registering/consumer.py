"""Consumes registrations: a batch is committed, then acknowledged.

On a connection of its own, so that cancels do not wait behind a flood of registrations.
"""

import asyncio
from collections.abc import Sequence
from typing import NoReturn

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from shared.aio.tasks import end, first_of
from shared.amqp.channels import DECLARE_TIMEOUT, close_channel, open_channel, underlay
from shared.amqp.topology import Topology
from worker.intake.acks import Unacknowledged
from worker.intake.fair_queue import FairQueue
from worker.messages.delivery import Delivery, consume
from worker.metrics import WorkerMetrics
from worker.postgres_watch import PostgresWatch
from worker.registering.settler import RegistrationSettler, Unsettled

log = structlog.get_logger(__name__)

_MOST = 500
"""A batch of deliveries: those that arrived during the previous batch."""
_MOST_BYTES = 256 * 1024
"""Bytes of bodies per batch: quick to read, so that cancels get their turn."""
_AFTER_FAILURE = 5.0
"""Seconds."""


class RegistrationConsumer:
    def __init__(
        self,
        settler: RegistrationSettler,
        topology: Topology,
        prefetch: int,
        postgres: PostgresWatch,
        metrics: WorkerMetrics,
    ) -> None:
        """`prefetch`: maximum number of unacknowledged deliveries."""
        self._settler = settler
        self._topology = topology
        self._prefetch = prefetch
        self._postgres = postgres
        self._metrics = metrics

    async def session(self, connection: AbstractConnection) -> None:
        """Register runs until `connection` closes; not while Postgres is unavailable."""
        async with asyncio.timeout(DECLARE_TIMEOUT):
            # As in `Consumer`, it stays open.
            channel = await open_channel(connection)
            await self._topology.declare_queued(channel)
        while not channel.is_closed:
            await first_of(self._postgres.until_available(), channel.closed())
            if channel.is_closed or not await self._consume(connection):
                return

    async def _consume(self, connection: AbstractConnection) -> bool:
        """Consume until Postgres is unavailable; False if the channel was lost.

        Whatever is unsettled then goes back to the broker: repeats change nothing.
        """
        arrived = _Arrived()

        async def take(message: Delivery) -> None:
            if message.redelivered:
                self._metrics.redelivered()
            arrived.add(message)

        async with asyncio.timeout(DECLARE_TIMEOUT):
            channel = await open_channel(connection)
            await channel.set_qos(prefetch_count=self._prefetch)
            await consume(await underlay(channel), self._topology.queued, take)
        log.info("registering")
        settling = asyncio.create_task(self._settle_all(arrived, channel))
        try:
            await first_of(
                self._postgres.until_unavailable(), channel.closed(), asyncio.wait([settling])
            )
            if settling.done():
                settling.result()  # the channel did not close: another connection
        finally:
            await end(settling)
        if channel.is_closed:
            return False
        log.warning("registering_paused", reason="Postgres is unavailable")
        # A consumer is never canceled: see `Consumer`.
        await close_channel(channel)
        return True

    async def _settle_all(self, arrived: "_Arrived", channel: AbstractChannel) -> None:
        """Settle batches, and one by one what cannot be settled in a batch, until canceled.

        After a failure the channel is closed. Raises TimeoutError if it does not close.
        """
        try:
            async with asyncio.TaskGroup() as alone:
                await self._settle_batches(arrived, alone)
        except* Exception:
            log.exception("registrations_not_settled")
        await asyncio.sleep(_AFTER_FAILURE)
        # They are delivered again, on another channel.
        await close_channel(channel)

    async def _settle_batches(self, arrived: "_Arrived", alone: asyncio.TaskGroup) -> NoReturn:
        while True:
            batch = await arrived.next_batch()
            unsettled = await self._settler.settle(batch)
            pairs = list(zip(batch, unsettled, strict=True))
            await arrived.acknowledge([message for message, rest in pairs if rest is None])
            for message, rest in pairs:
                if rest is not None:
                    alone.create_task(self._settle_alone(arrived, message, rest))
            await asyncio.sleep(0)  # the above may not have waited, and other tasks need their turn

    async def _settle_alone(
        self, arrived: "_Arrived", message: Delivery, unsettled: Unsettled
    ) -> None:
        await self._settler.settle_alone(unsettled)
        await arrived.acknowledge([message])


class _Arrived:
    """The deliveries of one channel."""

    def __init__(self) -> None:
        self._waiting: FairQueue[Delivery] = FairQueue(lambda it: len(it.body))
        self._unacknowledged = Unacknowledged()
        self._woken = asyncio.Event()

    def add(self, message: Delivery) -> None:
        self._unacknowledged.add(message.delivery_tag)
        self._waiting.add("", message)
        self._woken.set()

    async def next_batch(self) -> list[Delivery]:
        """Wait for deliveries; those that have arrived, up to a limit."""
        while not (batch := self._waiting.take(_MOST, _MOST_BYTES)):
            self._woken.clear()
            await self._woken.wait()
        return batch

    async def acknowledge(self, settled: Sequence[Delivery]) -> None:
        if not settled:
            return
        try:
            tags = [message.delivery_tag for message in settled]
            await self._unacknowledged.acknowledge(settled[0].channel, tags)
        except (AMQPError, ChannelInvalidStateError, OSError) as error:
            # They will be redelivered, and their runs are already on record.
            log.warning("ack_lost", error=str(error) or type(error).__name__)
