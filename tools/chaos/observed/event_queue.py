"""What the workers tell: a queue that takes all events of a round, and outlives its faults."""

import asyncio
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from shared.amqp.topology import Topology

QUEUE: Final = "chaos.events"
_SECONDS: Final = 120.0


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


async def listen(url: str, prefix: str = "") -> None:
    """From now on. The exchange must be declared. `prefix` is that of all names."""
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(
            prefix + QUEUE, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(Topology(prefix).events, "#")


async def heard(url: str, prefix: str = "") -> list[Heard]:
    """All events, in the order in which they came."""
    events: list[Heard] = []
    connection = await aio_pika.connect(url, timeout=10)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(prefix + QUEUE, passive=True)
        count = queue.declaration_result.message_count or 0
        if count:
            # One `get` after the other would take 40 ms for each.
            async with asyncio.timeout(_SECONDS), queue.iterator() as messages:
                async for message in messages:
                    await message.ack()
                    events.append(_heard(message))
                    if len(events) == count:
                        break
        # None, unless the count was too low.
        while (late := await queue.get(fail=False)) is not None:
            await late.ack()
            events.append(_heard(late))
    return events


def _heard(message: AbstractIncomingMessage) -> Heard:
    return Heard(message.body, message.routing_key or "", message.message_id)
