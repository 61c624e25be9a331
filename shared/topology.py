"""Every exchange, queue and routing key, and how each is declared."""

from dataclasses import dataclass
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractQueue, ExchangeType

CANCEL_KEY: Final = "run.cancel"
RETRY_DELAYS: Final = (1, 5, 30)
"""Seconds before attempt 2, 3 and 4. One queue each: a TTL only expires at a queue's head."""

# Against commands that kill their worker, nothing else: RabbitMQ 3.10 counts every lost channel
# as a delivery, so this must stay above what a bad day of restarts can add up to.
_DELIVERY_LIMIT: Final = 20


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
    def dead(self) -> str:
        return f"{self.prefix}runs.cancel.dead"

    @property
    def events(self) -> str:
        return f"{self.prefix}runs.events"

    def host(self, name: str) -> str:
        return f"{self.prefix}runs.cancel.host.{name}"

    def retry(self, delay: int) -> str:
        return f"{self.prefix}runs.cancel.retry.{delay}s"

    async def declare_exchange(self, channel: AbstractChannel) -> None:
        """What a publisher needs: the exchange, and the queue that makes it routable."""
        await self._declare_dead(channel)
        exchange = await channel.declare_exchange(self.commands, ExchangeType.TOPIC, durable=True)
        queue = await self._declare_work_queue(channel, self.cancel)
        await queue.bind(exchange, CANCEL_KEY)

    async def declare_worker(self, channel: AbstractChannel, host: str) -> None:
        await self.declare_exchange(channel)
        await channel.declare_exchange(self.events, ExchangeType.TOPIC, durable=True)
        await self.declare_host(channel, host)
        for delay in RETRY_DELAYS:
            await self._declare_retry(channel, delay)

    async def declare_host(self, channel: AbstractChannel, host: str) -> AbstractQueue:
        """A host's queue outlives its worker, so that commands wait there while it is away."""
        return await self._declare_work_queue(channel, self.host(host))

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
                "x-delivery-limit": _DELIVERY_LIMIT,
            },
        )

    async def _declare_retry(self, channel: AbstractChannel, delay: int) -> None:
        await channel.declare_queue(
            self.retry(delay),
            durable=True,
            arguments={
                **_at_least_once(self.commands, routing_key=CANCEL_KEY),
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
