"""Every exchange, queue and routing key, and how each is declared."""

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractQueue,
    ExchangeType,
)

from shared.amqp.channels import is_there
from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY, REST_KEY
from shared.errors import NotDeclared

MOST_EVENTS: Final = 10_000
"""Events in the queue of a gateway. Beyond it, the oldest are dropped."""
RETRY_DELAYS: Final = (1, 5, 30)
"""Seconds before attempt 2, 3 and 4. One queue each: a TTL only expires at a queue's head."""
_KEYS: Final = (CANCEL_KEY, REST_KEY)

# Only against commands that crash their worker. RabbitMQ 3.10 counts every lost channel as a
# delivery, so this must exceed the number of restarts on a bad day.
DELIVERY_LIMIT: Final = 20


@dataclass(frozen=True, slots=True)
class Topology:
    """The names of one installation. A prefix lets several share a virtual host."""

    prefix: str = ""

    @property
    def commands(self) -> str:
        return f"{self.prefix}runs.commands"

    @property
    def dead_exchange(self) -> str:
        return f"{self.prefix}runs.dead"

    @property
    def cancel(self) -> str:
        return f"{self.prefix}runs.cancel"

    @property
    def rest(self) -> str:
        return f"{self.prefix}runs.cancel.rest"

    @property
    def queued(self) -> str:
        return f"{self.prefix}runs.queued"

    @property
    def dead(self) -> str:
        return f"{self.prefix}runs.cancel.dead"

    @property
    def events(self) -> str:
        return f"{self.prefix}runs.events"

    @property
    def wakes(self) -> str:
        return f"{self.prefix}runs.wake"

    def old_host_queue(self, host: str) -> str:
        """The queue of a host in versions without wakes."""
        return f"{self.prefix}runs.cancel.host.{host}"

    def retry(self, delay: int, key: str = CANCEL_KEY) -> str:
        """The queue in which a command waits for `delay` seconds; it returns with `key`."""
        queue = self.rest if key == REST_KEY else self.cancel
        return f"{queue}.retry.{delay}s"

    def queues(self) -> list[str]:
        """All durable queues."""
        retries = [self.retry(delay, key) for key in _KEYS for delay in RETRY_DELAYS]
        return [self.cancel, self.rest, self.queued, self.dead, *retries]

    async def look(self, connection: AbstractConnection) -> None:
        """Check that the exchange and queue for REST commands exist. This needs no permission.

        Raises NotDeclared.
        """
        await self._look_for(connection, self.commands, self.rest)

    async def look_for_events(self, connection: AbstractConnection) -> None:
        """Check that the exchange for events exists. This needs no permission.

        Raises NotDeclared.
        """
        await self._look_for(connection, self.events)

    @staticmethod
    async def _look_for(
        connection: AbstractConnection, exchange: str, queue: str | None = None
    ) -> None:
        for kind, name, ask in (
            ("exchange", exchange, lambda it: it.declare_exchange(exchange, passive=True)),
            ("queue", queue, lambda it: it.declare_queue(queue, passive=True)),
        ):
            if name is not None and not await is_there(connection, ask):
                raise NotDeclared(
                    f"the {kind} {name} does not exist: start a worker (cancel-worker serve), "
                    f"or restart one if the {kind} was deleted"
                )

    async def declare(self, channel: AbstractChannel) -> None:
        """Declare everything that commands and registrations need."""
        await self.declare_queued(channel)
        exchange = await self._declare_commands(channel)
        for key, name in zip(_KEYS, (self.cancel, self.rest), strict=True):
            queue = await self._declare_work_queue(channel, name)
            await queue.bind(exchange, key)
            for delay in RETRY_DELAYS:
                await self._declare_retry(channel, delay, key)

    async def declare_queued(self, channel: AbstractChannel) -> None:
        """Declare what registrations need."""
        await self._declare_dead(channel)
        exchange = await self._declare_commands(channel)
        queue = await self._declare_work_queue(channel, self.queued)
        await queue.bind(exchange, QUEUED_KEY)

    async def declare_worker(self, channel: AbstractChannel) -> None:
        await self.declare(channel)
        await self._declare_events(channel)
        await self._declare_wakes(channel)

    async def declare_relay(self, channel: AbstractChannel) -> None:
        """Declare what the relay needs: events, and dead letters of failed stops."""
        await self._declare_events(channel)
        await self._declare_dead(channel)

    async def declare_wake_queue(self, channel: AbstractChannel, host: str) -> AbstractQueue:
        """Declare an exclusive queue of wakes for `host`.

        Its name is generated: while one worker of a host replaces another, both have one.
        """
        exchange = await self._declare_wakes(channel)
        queue = await channel.declare_queue(f"{self.wakes}.{host}.{uuid4().hex}", exclusive=True)
        await queue.bind(exchange, host)
        return queue

    def new_events_queue(self) -> str:
        """A name for the queue of a gateway."""
        return f"{self.events}.gateway.{uuid4().hex}"

    async def declare_events_queue(self, channel: AbstractChannel, name: str) -> AbstractQueue:
        """Declare an exclusive queue of all events, for a gateway. The exchange must exist."""
        queue = await channel.declare_queue(
            name,
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": MOST_EVENTS, "x-overflow": "drop-head"},
        )
        await queue.bind(self.events, "#")
        return queue

    async def declare_old_host_queue(self, channel: AbstractChannel, host: str) -> None:
        """Declare it with the same arguments as the versions that forward to it."""
        await self._declare_work_queue(channel, self.old_host_queue(host))

    async def _declare_commands(self, channel: AbstractChannel) -> AbstractExchange:
        return await channel.declare_exchange(self.commands, ExchangeType.TOPIC, durable=True)

    async def _declare_events(self, channel: AbstractChannel) -> None:
        await channel.declare_exchange(self.events, ExchangeType.TOPIC, durable=True)

    async def _declare_wakes(self, channel: AbstractChannel) -> AbstractExchange:
        return await channel.declare_exchange(self.wakes, ExchangeType.DIRECT, durable=True)

    async def _declare_dead(self, channel: AbstractChannel) -> None:
        exchange = await channel.declare_exchange(
            self.dead_exchange, ExchangeType.TOPIC, durable=True
        )
        queue = await channel.declare_queue(
            self.dead, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(exchange, "#")

    async def _declare_work_queue(self, channel: AbstractChannel, name: str) -> AbstractQueue:
        return await channel.declare_queue(
            name,
            durable=True,
            arguments={
                **_at_least_once(self.dead_exchange, routing_key=name),
                "x-delivery-limit": DELIVERY_LIMIT,
            },
        )

    async def _declare_retry(self, channel: AbstractChannel, delay: int, key: str) -> None:
        await channel.declare_queue(
            self.retry(delay, key),
            durable=True,
            arguments={
                **_at_least_once(self.commands, routing_key=key),
                "x-message-ttl": delay * 1000,
            },
        )


def _at_least_once(exchange: str, routing_key: str) -> dict[str, str | int]:
    # All three are needed: without reject-publish the broker silently falls back to
    # at-most-once dead lettering (RabbitMQ, "Quorum queues": at-least-once dead lettering).
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-routing-key": routing_key,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
