"""What the workers tell: a queue that takes all events of a round, and outlives its faults."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import aio_pika

from shared.amqp.topology import Topology

QUEUE: Final = "chaos.events"


@dataclass(frozen=True)
class Heard:
    """An event as it was delivered."""

    body: bytes
    routing_key: str
    message_id: str | None

    @cached_property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def sequence(self) -> int:
        return int(self.event["sequence"])


async def listen(url: str) -> None:
    """From now on. The exchange must be declared."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            QUEUE, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(Topology().events, "#")


async def heard(url: str) -> list[Heard]:
    """All events, in the order in which they came."""
    events = []
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(QUEUE)
        while (message := await queue.get(fail=False)) is not None:
            await message.ack()
            events.append(Heard(message.body, message.routing_key or "", message.message_id))
    return events
