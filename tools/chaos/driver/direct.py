"""Commands published straight to the broker, by a publisher that is not of the product."""

import asyncio
import json
from collections.abc import Mapping
from enum import StrEnum
from random import Random
from typing import Any, Final
from uuid import uuid4
from weakref import WeakValueDictionary

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError

from shared.amqp.topology import CANCEL_KEY, Topology
from shared.commands import CANCEL_TYPE
from tools.chaos.driver.journal import Journal

ATTEMPTS: Final = 40
_CONNECT_SECONDS: Final = 5.0
_CONFIRM_SECONDS: Final = 6.0

Command = Mapping[str, Any]


class Result(StrEnum):
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


class DirectPublisher:
    def __init__(self, url: str, journal: Journal) -> None:
        self._url = url
        self._journal = journal
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._connecting = asyncio.Lock()
        # Two publishes with one message id in flight would get each other's confirm (aiormq 7.2).
        self._alone: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.published: list[Command] = []
        """What was confirmed, to be published once more."""

    async def cancel(self, run_id: int, random: Random, **fields: Any) -> Command:
        """Publish a new command until it is confirmed, always with the same id."""
        command = {"command_id": str(uuid4()), "run_id": run_id, **fields}
        command["reason"] = command["command_id"]
        await self.publish(command, random)
        return command

    async def publish(self, command: Command, random: Random) -> bool:
        for _ in range(ATTEMPTS):
            if await self._once(command) is Result.CONFIRMED:
                self.published.append(command)
                return True
            await asyncio.sleep(random.uniform(0.3, 1.5))
        return False

    async def close(self) -> None:
        if self._connection is not None:
            await asyncio.wait({asyncio.ensure_future(self._connection.close())}, timeout=5)

    async def _once(self, command: Command) -> Result:
        alone = self._alone.setdefault(command["command_id"], asyncio.Lock())
        async with alone:
            result = await self._attempt(command)
            self._journal.write("publish", **command, result=result)
        return result

    async def _attempt(self, command: Command) -> Result:
        # In a task of its own: aiormq cancels its callers when heartbeats run out.
        opening = asyncio.create_task(self._open())
        await asyncio.wait({opening}, timeout=_CONNECT_SECONDS * 2)
        if not opening.done():
            opening.cancel()
        if not opening.done() or opening.cancelled() or opening.exception() is not None:
            self._connection = self._channel = None  # it may not even know that it is lost
            return Result.NOT_SENT
        sending = asyncio.create_task(self._send(opening.result(), command))
        await asyncio.wait({sending}, timeout=_CONFIRM_SECONDS)
        if not sending.done():
            sending.cancel()
            self._connection = self._channel = None  # the next one has another chance
            return Result.UNKNOWN
        if sending.cancelled():
            return Result.UNKNOWN
        match sending.exception():
            case None:
                return Result.CONFIRMED
            case PublishError() | DeliveryError():
                return Result.REFUSED
            case _:
                return Result.UNKNOWN

    async def _open(self) -> AbstractChannel:
        async with self._connecting:
            if self._channel is not None and not self._channel.is_closed:
                return self._channel
            if self._connection is None or self._connection.is_closed:
                self._connection = await aio_pika.connect(
                    self._url,
                    timeout=_CONNECT_SECONDS,
                    client_properties={"connection_name": "chaos"},
                )
            async with asyncio.timeout(_CONNECT_SECONDS):
                self._channel = await self._connection.channel(on_return_raises=True)
            return self._channel

    async def _send(self, channel: AbstractChannel, command: Command) -> None:
        exchange = await channel.get_exchange(Topology().commands, ensure=False)
        message = aio_pika.Message(
            json.dumps(command).encode(),
            content_type="application/json",
            message_id=command["command_id"],
            type=CANCEL_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, CANCEL_KEY, mandatory=True)
