"""Messages and consumers of the shared queues."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from shared.aio.tasks import first_of
from shared.amqp.channels import DECLARE_TIMEOUT, open_channel_to_look
from shared.amqp.connecting.broker import keep_trying
from shared.amqp.topology import Topology
from shared.configuration.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class QueueState:
    ready: int
    """Messages that wait."""
    consumers: int


Told = Callable[[str, QueueState | None], None]
"""Gets the name of a queue without the prefix, and None without RabbitMQ or the queue."""


class QueueWatch:
    """Asks RabbitMQ, on a connection of its own, with the rights of any user.

    Not on the publishing one: a passive declare of a missing queue closes the channel.
    """

    def __init__(self, topology: Topology, told: Told) -> None:
        # Without the prefix, so that one alert fits every installation.
        plain = Topology()
        self._queues = {
            plain.cancel: topology.cancel,
            plain.rest: topology.rest,
            plain.queued: topology.queued,
            plain.dead: topology.dead,
        }
        self._told = told

    async def keep_looking(self, settings: ServiceSettings, name: str) -> NoReturn:
        """Check every `probe_interval` seconds while RabbitMQ is reachable.

        `name` is that of the connection.
        """
        look = partial(self._look_on, every=settings.probe_interval)
        await keep_trying(settings, name, look)

    async def _look_on(self, connection: AbstractConnection, every: float) -> None:
        channel: AbstractChannel | None = None
        try:
            while not connection.is_closed:
                for label, name in self._queues.items():
                    async with asyncio.timeout(DECLARE_TIMEOUT):
                        if channel is None or channel.is_closed:
                            channel = await open_channel_to_look(connection)
                        self._told(label, await _look(channel, name))
                await first_of(connection.closed(), asyncio.sleep(every))
        finally:
            for label in self._queues:
                self._told(label, None)


async def _look(channel: AbstractChannel, name: str) -> QueueState | None:
    try:
        queue = await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return None
    found = queue.declaration_result
    return QueueState(found.message_count or 0, found.consumer_count or 0)
