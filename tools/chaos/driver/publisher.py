"""Messages published straight to the broker, by a publisher that is not of the product."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from weakref import WeakValueDictionary

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError

from shared.amqp.connecting.connection import Connection
from shared.amqp.topology import Topology

_CONNECT_SECONDS: Final = 5.0
_CONFIRM_SECONDS: Final = 6.0


class Result(StrEnum):
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class Outgoing:
    message_id: str
    type: str
    key: str
    body: bytes


class Publisher:
    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._connecting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        # Two publishes with one message id in flight would get each other's confirm (aiormq 7.2).
        self._alone: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def publish(self, message: Outgoing) -> Result:
        """Publish it once, mandatory and persistent."""
        alone = self._alone.setdefault(message.message_id, asyncio.Lock())
        async with alone:
            return await self._attempt(message)

    async def close(self) -> None:
        self._leave()
        if self._closing:
            await asyncio.wait(self._closing, timeout=5)

    async def _attempt(self, message: Outgoing) -> Result:
        # In a task of its own: aiormq cancels its callers when heartbeats run out.
        opening = asyncio.create_task(self._open())
        await asyncio.wait({opening}, timeout=_CONNECT_SECONDS * 2)
        if not opening.done():
            _give_up(opening)
        if not opening.done() or opening.cancelled() or opening.exception() is not None:
            self._leave()  # it may not even know that it is lost
            return Result.NOT_SENT
        sending = asyncio.create_task(self._send(opening.result(), message))
        await asyncio.wait({sending}, timeout=_CONFIRM_SECONDS)
        if not sending.done():
            _give_up(sending)
            self._leave()  # the next one has another chance
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

    def _leave(self) -> None:
        """Close the connection, if there is one, without waiting for it."""
        if self._connection is not None:
            self._closing.add(task := asyncio.create_task(_close(self._connection)))
            task.add_done_callback(self._closing.discard)
        self._connection = self._channel = None

    async def _open(self) -> AbstractChannel:
        async with self._connecting:
            if self._channel is not None and not self._channel.is_closed:
                return self._channel
            if self._connection is None or self._connection.is_closed:
                # Not its own timeout: its task may end unseen, with a traceback of asyncio's.
                async with asyncio.timeout(_CONNECT_SECONDS):
                    self._connection = await aio_pika.connect(
                        self._url,
                        client_properties={"connection_name": "chaos"},
                        connection_class=Connection,
                    )
            async with asyncio.timeout(_CONNECT_SECONDS):
                self._channel = await self._connection.channel(on_return_raises=True)
            return self._channel

    async def _send(self, channel: AbstractChannel, message: Outgoing) -> None:
        exchange = await channel.get_exchange(Topology().commands, ensure=False)
        sent = aio_pika.Message(
            message.body,
            content_type="application/json",
            message_id=message.message_id,
            type=message.type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(sent, message.key, mandatory=True)


def _give_up(task: asyncio.Task[Any]) -> None:
    """Cancel what is waited for no more, and keep asyncio from reporting how it ends."""
    task.cancel()
    task.add_done_callback(lambda task: task.cancelled() or task.exception())


async def _close(connection: AbstractConnection) -> None:
    with suppress(Exception, asyncio.CancelledError):  # aiormq's ways to say that it is gone
        async with asyncio.timeout(_CONNECT_SECONDS):
            await connection.close()
