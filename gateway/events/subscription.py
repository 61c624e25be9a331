"""The gateway's own queue of events. A cancel does not need it, and neither does /readyz."""

import asyncio
from contextlib import suppress
from typing import Final, NoReturn

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import ChannelAccessRefused

from gateway.events.feed import EventFeed
from shared.aio.tasks import end, first_of
from shared.amqp.channels import DECLARE_TIMEOUT, open_channel
from shared.amqp.connecting.broker import keep_trying
from shared.amqp.topology import MOST_EVENTS, Topology
from shared.configuration.settings import ServiceSettings
from shared.errors import NotDeclared

log = structlog.get_logger(__name__)

_NAME: Final = "cancel-gateway receiving events"
# Seconds until the next attempt.
_NOT_DECLARED: Final = 1.0
_NOT_PERMITTED: Final = 30.0

_PREFETCH: Final = 1000
_LOOK_AFTER: Final = 1000
"""Deliveries after which the length of the queue is checked."""
_OVERFLOWED: Final = MOST_EVENTS - 4 * _PREFETCH
"""A queue that overflowed since the last check is at least as long: since then, at most
`_LOOK_AFTER`, one batch and the prefetch have left it, three times the prefetch in total."""


class EventSubscription:
    def __init__(self, settings: ServiceSettings, topology: Topology, feed: EventFeed) -> None:
        self._settings = settings
        self._topology = topology
        self._feed = feed
        self._problem: str | None = None

    async def run(self) -> NoReturn:
        """Receive events while RabbitMQ is reachable, on a connection of its own.

        Not on the publishing one: an alarm of the broker blocks that.
        """
        await keep_trying(self._settings, _NAME, self._session)

    async def _session(self, connection: AbstractConnection) -> None:
        name = self._topology.new_events_queue()  # once, as each stays while the connection does
        while not connection.is_closed:
            try:
                async with asyncio.timeout(DECLARE_TIMEOUT):
                    await self._topology.look_for_events(connection)
                    channel = await open_channel(connection)
                    await channel.set_qos(prefetch_count=_PREFETCH)
                    queue = await self._topology.declare_events_queue(channel, name)
            except NotDeclared as error:
                await self._lacks(connection, str(error), _NOT_DECLARED)
            except ChannelAccessRefused as error:
                await self._lacks(connection, str(error), _NOT_PERMITTED)
            else:
                await self._receive(connection, channel, queue)

    async def _lacks(self, connection: AbstractConnection, problem: str, pause: float) -> None:
        if self._problem != problem:
            log.warning("events_not_subscribed", error=problem, retrying=True)
        self._problem = problem
        await first_of(connection.closed(), asyncio.sleep(pause))

    async def _receive(
        self, connection: AbstractConnection, channel: AbstractChannel, queue: AbstractQueue
    ) -> None:
        """Receive until the channel is lost."""
        self._problem = None
        self._feed.note_gap()  # from now on, nothing is missing
        log.info("events_subscribed", queue=queue.name)
        taking = asyncio.create_task(self._take(channel, queue))
        try:
            await first_of(connection.closed(), channel.closed(), asyncio.wait([taking]))
        finally:
            await end(taking)
        if not taking.cancelled():
            taking.result()

    async def _take(self, channel: AbstractChannel, queue: AbstractQueue) -> NoReturn:
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(arrived.put)
        unchecked = 0
        while True:
            message = await arrived.get()
            with suppress(asyncio.QueueEmpty):
                while True:
                    self._feed.receive(message.body, message.message_id)
                    unchecked += 1
                    message = arrived.get_nowait()
            await message.ack(multiple=True)
            if unchecked >= _LOOK_AFTER:
                unchecked = 0
                await self._check_length(channel, queue.name)

    async def _check_length(self, channel: AbstractChannel, name: str) -> None:
        """Tell the streams if events may have been dropped, because the gateway was too slow."""
        found = await channel.declare_queue(name, passive=True)
        length = found.declaration_result.message_count or 0
        if length >= _OVERFLOWED:
            log.warning("events_dropped_by_broker", waiting=length)
            self._feed.note_gap()
