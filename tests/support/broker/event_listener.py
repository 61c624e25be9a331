"""Who listens to what the worker tells."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import not_
from typing import Any

from aio_pika.abc import AbstractQueue

from tools.support.program import DEADLINE
from tools.support.system import System
from tools.support.waiting import eventually

Json = dict[str, Any]


class Listener:
    """All that is told, from when it was made on."""

    def __init__(self, queue: AbstractQueue) -> None:
        self._queue = queue

    async def take(self, number: int) -> list[Json]:
        events = []
        async with asyncio.timeout(DEADLINE), self._queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                events.append(json.loads(message.body))
                if len(events) == number:
                    break
        return events

    async def rest(self) -> list[Json]:
        """All that has arrived by now."""
        events = []
        while (message := await self._queue.get(fail=False)) is not None:
            await message.ack()
            events.append(json.loads(message.body))
        return events


@asynccontextmanager
async def listening(system: System, key: str = "#") -> AsyncIterator[Listener]:
    """Listen from now on. A worker must have declared the exchange."""
    queue = await system.channel.declare_queue(exclusive=True)
    await queue.bind(system.topology.events, key)
    try:
        yield Listener(queue)
    finally:
        await queue.delete(if_unused=False, if_empty=False)


async def until_told(system: System) -> None:
    """Return once nothing is left in the outbox."""
    await eventually(lambda: system.database.fetchval("SELECT count(*) FROM outbox"), not_)
