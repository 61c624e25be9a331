"""Who listens to what the worker tells."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import not_
from typing import Any

from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_structured_event

from tests.support.broker.event_schemas import check_event
from tools.support.program import DEADLINE
from tools.support.system import System
from tools.support.waiting import eventually

Json = dict[str, Any]


ENDS = ("run.finished", "cancel.settled")


class Listener:
    """All that is told, from when it was made on, as the AsyncAPI document says."""

    def __init__(self, queue: AbstractQueue) -> None:
        self._queue = queue

    async def take(self, number: int) -> list[Json]:
        events = []
        async with asyncio.timeout(DEADLINE), self._queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                events.append(event_in(message))
                if len(events) == number:
                    break
        return events

    async def rest(self) -> list[Json]:
        """All that has arrived by now."""
        events = []
        while (message := await self._queue.get(fail=False)) is not None:
            await message.ack()
            events.append(event_in(message))
        return events


def event_in(message: AbstractIncomingMessage) -> Json:
    """The event in `message`, as the AsyncAPI document and the CloudEvents library want it."""
    event: Json = json.loads(message.body)
    read = from_structured_event(
        RabbitMQMessage(headers={}, content_type=message.content_type, body=message.body)
    )
    assert (read.get_id(), read.get_type()) == (event["id"], event["type"])
    assert (message.message_id, message.type) == (event["id"], event["type"])
    assert read.get_subject() == event.get("subject")
    assert read.get_data() == event["data"]
    if event["data"]:  # some tests write rows without
        check_event(event)
    return event


@asynccontextmanager
async def listening(system: System, *keys: str) -> AsyncIterator[Listener]:
    """Listen from now on, by default to the ends of runs and commands.

    A worker must have declared the exchange.
    """
    queue = await system.channel.declare_queue(exclusive=True)
    for key in keys or ENDS:
        await queue.bind(system.topology.events, key)
    try:
        yield Listener(queue)
    finally:
        await queue.delete(if_unused=False, if_empty=False)


async def until_told(system: System) -> None:
    """Return once nothing is left in the outbox."""
    await eventually(lambda: system.database.fetchval("SELECT count(*) FROM outbox"), not_)
