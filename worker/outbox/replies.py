"""Sends outcomes to the publishers that wait for them, by RabbitMQ's direct reply-to.

Best effort: a reply is transient, and whoever got none repeats its command. RabbitMQ 3.10 closes
the connection of whoever publishes to an address that is not well-formed, so replies have a
connection of their own: it is opened for the first one.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog
from aio_pika import Message

from shared.amqp.publisher import Publisher
from shared.errors import PublishRefused, ServiceUnavailable, Unroutable
from worker.messages.reply_address import direct

log = structlog.get_logger(__name__)

_MOST: Final = 10_000
"""Maximum number of replies that wait; the oldest are dropped."""
_AT_ONCE: Final = 200
_FAILED_PAUSE: Final = 1.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class _Reply:
    reply_to: str
    message: Message


class Replies:
    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._waiting: deque[_Reply] = deque()
        self._arrived = asyncio.Event()

    def send(self, reply_to: str | None, message: Message) -> None:
        """Send `message` soon, if `reply_to` is a direct reply-to."""
        # Checked here too: this is where the worker's right to publish is used.
        if (address := direct(reply_to)) is None:
            return
        if len(self._waiting) >= _MOST:
            self._waiting.popleft()
            log.warning("reply_dropped", reason="too many are waiting")
        self._waiting.append(_Reply(address, message))
        self._arrived.set()

    async def run(self) -> NoReturn:
        """Send replies. Connects once there is a first one."""
        while True:
            await self._arrived.wait()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._publisher.run())
                    await self._send_arriving()
            except* ServiceUnavailable as error:
                log.warning("replies_not_sent", error=str(error.exceptions[0]))
                await asyncio.sleep(_FAILED_PAUSE)

    async def _send_arriving(self) -> NoReturn:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                number = min(_AT_ONCE, len(self._waiting))
                await self._send_all([self._waiting.popleft() for _ in range(number)])

    async def _send_all(self, replies: Sequence[_Reply]) -> None:
        sent = await asyncio.gather(*(self._send(reply) for reply in replies))
        failed = [reply for reply, done in zip(replies, sent, strict=True) if not done]
        if len(replies) == 1:
            return
        # Of those in flight together, one may have closed the connection.
        for reply in failed:
            await self._send(reply)

    async def _send(self, reply: _Reply) -> bool:
        """Send a reply; whether RabbitMQ confirmed that it has seen it."""
        try:
            await self._publisher.publish("", reply.reply_to, reply.message)
        except Unroutable:
            pass  # RabbitMQ says so of each direct reply, since no queue takes it
        except (PublishRefused, ServiceUnavailable) as error:
            log.warning("reply_not_sent", error=str(error))
            return False
        except Exception:  # of this reply only
            log.exception("reply_not_sent")
        return True
