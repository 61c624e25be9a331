"""The ack rules, and nothing else.

A delivery is acknowledged when it is settled: its outcome is committed, or it is confirmed in
another queue. At shutdown nothing is acknowledged that is not: the broker delivers it again.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from shared.broker import DECLARE_TIMEOUT, lost_is_an_error, open_channel
from shared.tasks import first_of
from shared.topology import Topology
from worker.acks import Unacknowledged
from worker.outage import PostgresWatch
from worker.presence import Presence
from worker.settling import Settler

log = structlog.get_logger(__name__)

_LEAST = 8
"""Deliveries that are settled together; fewer gain nothing by it."""
_MOST = 500
# Seconds.
_CLOSE = 0.005
"""A delivery that comes so soon after the one before is one of many."""
_GATHER = 0.002
"""How long it then waits for those behind it. Who comes alone is begun at once."""


@dataclass(frozen=True, slots=True, eq=False)
class _Delivery:
    message: AbstractIncomingMessage
    in_hand: Unacknowledged
    """What its channel has delivered besides."""


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
        self._arrived: list[_Delivery] = []
        self._arrived_at = 0.0
        self._is_crowded = False
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
        in_hand = Unacknowledged()
        while not (self._stopping.is_set() or channel.is_closed):
            await self._unless_over(channel, connection, self._postgres.answers())
            if not (self._stopping.is_set() or channel.is_closed):
                await self._consume(channel, connection, in_hand)

    async def _consume(
        self, channel: AbstractChannel, connection: AbstractConnection, in_hand: Unacknowledged
    ) -> None:
        """Consume until Postgres is away, or other hosts are abandoned than before."""
        given_up, changed = self._presence.given_up()
        async with asyncio.timeout(DECLARE_TIMEOUT):
            queues = [await channel.get_queue(self._topology.cancel, ensure=False)]
            for host in (self._host, *sorted(given_up)):
                queues.append(await self._topology.declare_host(channel, host))
            take = partial(self._take, in_hand)
            tags = [await queue.consume(take) for queue in queues]
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
        self._arrived.clear()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=timeout)
        for task in self._in_flight:
            task.cancel()

    async def _take(self, in_hand: Unacknowledged, message: AbstractIncomingMessage) -> None:
        if self._stopping.is_set():
            return  # not acknowledged, so it goes back when the channel closes
        # Not the loop's own clock, which stands still while it is busy.
        now = monotonic()
        self._is_crowded, self._arrived_at = now - self._arrived_at < _CLOSE, now
        in_hand.add(_tag(message))
        self._arrived.append(_Delivery(message, in_hand))
        if len(self._arrived) == 1:
            self._start(self._begin_arrived())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        # In a task of our own: aio-pika cancels its callbacks when the connection dies, and a
        # stop must go on whatever the connection does.
        task = self._tasks.create_task(work)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _begin_arrived(self) -> None:
        """Settle together what arrived together, as far as that goes; begin on the others."""
        while self._arrived:
            if self._is_crowded and len(self._arrived) < _MOST:
                await asyncio.sleep(_GATHER)
            batch = self._arrived[:_MOST]
            settled = await self._settle_together(batch) if len(batch) >= _LEAST else set()
            if self._stopping.is_set():
                return
            for delivery in batch:
                if delivery not in settled:
                    self._start(self._handle(delivery))
            # Only now: what is still there is begun by this task.
            del self._arrived[: len(batch)]

    async def _settle_together(self, batch: Sequence[_Delivery]) -> set[_Delivery]:
        by_message = {id(delivery.message): delivery for delivery in batch}
        messages = await self._settler.settle_many([delivery.message for delivery in batch])
        settled = {by_message[id(message)] for message in messages}
        for in_hand in {delivery.in_hand for delivery in settled}:
            await self._acknowledge([d for d in settled if d.in_hand is in_hand])
        return settled

    async def _handle(self, delivery: _Delivery) -> None:
        await self._settler.settle(delivery.message)
        await self._acknowledge([delivery])

    async def _acknowledge(self, deliveries: Sequence[_Delivery]) -> None:
        """Acknowledge deliveries of one channel."""
        first = deliveries[0]
        try:
            for ack in first.in_hand.settled(map(_tag, (d.message for d in deliveries))):
                async with lost_is_an_error():
                    await first.message.channel.basic_ack(ack.delivery_tag, multiple=ack.multiple)
        except (AMQPError, ChannelInvalidStateError, OSError) as error:
            # The broker delivers them again, and finds their outcomes on record.
            log.warning("ack_lost", error=str(error) or type(error).__name__)


def _tag(message: AbstractIncomingMessage) -> int:
    assert message.delivery_tag is not None  # noqa: S101 - it was delivered
    return message.delivery_tag
