"""A publisher that waits for the outcome of its commands, by direct reply-to."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from shared.amqp.keys import CANCEL_KEY
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE
from tools.support.program import DEADLINE
from tools.support.system import System

DIRECT: Final = "amq.rabbitmq.reply-to"


class Asker:
    def __init__(self, channel: AbstractChannel, topology: Topology) -> None:
        self._channel = channel
        self._topology = topology
        self._replies: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def listen(self) -> None:
        queue = await self._channel.get_queue(DIRECT, ensure=False)
        await queue.consume(self._replies.put, no_ack=True)

    async def ask(
        self,
        run_id: object,
        *,
        command_id: str | None = None,
        reply_to: str = DIRECT,
        correlation_id: str | None = None,
        **properties: Any,
    ) -> str:
        """Publish a command; its id."""
        command_id = command_id or str(uuid4())
        exchange = await self._channel.get_exchange(self._topology.commands, ensure=False)
        message = aio_pika.Message(
            json.dumps({"command_id": command_id, "run_id": run_id}).encode(),
            message_id=command_id,
            reply_to=reply_to,
            correlation_id=correlation_id,
            **{"type": CANCEL_TYPE, **properties},
        )
        await exchange.publish(message, CANCEL_KEY, mandatory=True)
        return command_id

    async def reply(self) -> AbstractIncomingMessage:
        async with asyncio.timeout(DEADLINE):
            return await self._replies.get()


@asynccontextmanager
async def asking(system: System) -> AsyncIterator[Asker]:
    async with await aio_pika.connect(system.amqp_url) as connection:
        asker = Asker(await connection.channel(on_return_raises=True), system.topology)
        await asker.listen()
        yield asker
