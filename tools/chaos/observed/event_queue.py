"""What the workers tell: a queue that takes all events of a round, and outlives its faults."""

import json
from typing import Any, Final

import aio_pika

from shared.amqp.topology import Topology

QUEUE: Final = "chaos.events"


async def listen(url: str) -> None:
    """From now on. The exchange must be declared."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            QUEUE, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(Topology().events, "#")


async def heard(url: str) -> list[dict[str, Any]]:
    """All events, in the order in which they came."""
    events = []
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(QUEUE)
        while (message := await queue.get(fail=False)) is not None:
            await message.ack()
            events.append(json.loads(message.body))
    return events
