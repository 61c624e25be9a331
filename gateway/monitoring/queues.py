"""Messages and consumers of the shared queues."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import NoReturn

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from prometheus_client import CollectorRegistry, Gauge

from shared.aio.tasks import first_of
from shared.amqp.broker import keep_trying
from shared.amqp.channels import DECLARE_TIMEOUT, open_channel_to_look
from shared.amqp.topology import Topology
from shared.settings import ServiceSettings


class QueueWatch:
    """Asks RabbitMQ, on a connection of its own.

    Not on the publishing one: a passive declare of a missing queue closes the channel.
    """

    def __init__(self, topology: Topology, registry: CollectorRegistry) -> None:
        # Without the prefix, so that one alert fits every installation.
        plain = Topology()
        self._queues = {
            plain.cancel: topology.cancel,
            plain.rest: topology.rest,
            plain.queued: topology.queued,
            plain.dead: topology.dead,
        }
        self._ready = Gauge(
            "cancel_queue_messages_ready",
            "Messages waiting in a queue. Absent without RabbitMQ or the queue.",
            ["queue"],
            registry=registry,
        )
        self._consumers = Gauge(
            "cancel_queue_consumers",
            "Consumers of a queue. Absent without RabbitMQ or the queue.",
            ["queue"],
            registry=registry,
        )

    async def keep_looking(self, settings: ServiceSettings) -> NoReturn:
        """Check every `probe_interval` seconds while RabbitMQ is reachable."""
        look = partial(self._look_on, every=settings.probe_interval)
        await keep_trying(settings, "cancel-gateway watching queues", look)

    async def _look_on(self, connection: AbstractConnection, every: float) -> None:
        channel: AbstractChannel | None = None
        try:
            while not connection.is_closed:
                for label, name in self._queues.items():
                    async with asyncio.timeout(DECLARE_TIMEOUT):
                        if channel is None or channel.is_closed:
                            channel = await open_channel_to_look(connection)
                        await self._look(channel, label, name)
                await first_of(connection.closed(), asyncio.sleep(every))
        finally:
            self._ready.clear()
            self._consumers.clear()

    async def _look(self, channel: AbstractChannel, label: str, name: str) -> None:
        try:
            queue = await channel.declare_queue(name, passive=True)
        except ChannelNotFoundEntity:
            for gauge in (self._ready, self._consumers):
                with suppress(KeyError):
                    gauge.remove(label)
            return
        found = queue.declaration_result
        self._ready.labels(label).set(found.message_count or 0)
        self._consumers.labels(label).set(found.consumer_count or 0)
