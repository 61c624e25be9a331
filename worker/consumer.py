"""The ack rules, and nothing else.

A delivery is acknowledged when it is settled: its outcome is committed, or it is confirmed in
another queue. At shutdown nothing is acknowledged that is not: the broker delivers it again.
"""

import asyncio
from collections.abc import Awaitable

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from shared.broker import DECLARE_TIMEOUT, lost_is_an_error, open_channel
from shared.tasks import first_of
from shared.topology import Topology
from worker.outage import PostgresWatch
from worker.presence import Presence
from worker.settling import Settler

log = structlog.get_logger(__name__)


class Consumer:
    """Takes commands from the shared queue, this host's own, and those of abandoned hosts."""

    def __init__(
        self,
        settler: Settler,
        topology: Topology,
        host: str,
        prefetch: int,
        tasks: asyncio.TaskGroup,
        postgres: PostgresWatch,
        presence: Presence,
    ) -> None:
        self._settler = settler
        self._topology = topology
        self._host = host
        self._prefetch = prefetch
        self._tasks = tasks
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
            await self._settler.settle(message)
            async with lost_is_an_error():
                await message.ack()
        except (AMQPError, ChannelInvalidStateError, OSError) as error:
            # The broker delivers it again, and finds its outcome on record.
            log.warning("ack_lost", error=str(error) or type(error).__name__)
