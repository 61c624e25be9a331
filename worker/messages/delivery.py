"""Delivered messages, from the aiormq channel below aio-pika's."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import aiormq
from aio_pika.abc import HeadersType
from aiormq.abc import AbstractChannel, DeliveredMessage

from shared.amqp.body_limit import CutHeader


class Delivery:
    """The parts of a message that are used here.

    aio-pika's own class would copy each property and start a task for each message: a fifth of the
    cost of a command that is settled in a batch.
    """

    __slots__ = ("_message", "_properties", "body")

    def __init__(self, message: DeliveredMessage) -> None:
        self._message = message
        self._properties = message.header.properties
        self.body = message.body

    @property
    def full_size(self) -> int | None:
        """The original size of the body, if `body` is only its head."""
        header = self._message.header
        return header.full_size if isinstance(header, CutHeader) else None

    @property
    def headers(self) -> HeadersType:
        headers: Any = self._properties.headers
        return headers or {}

    @property
    def type(self) -> str | None:
        return self._properties.message_type

    @property
    def message_id(self) -> str | None:
        return self._properties.message_id

    @property
    def correlation_id(self) -> str | None:
        return self._properties.correlation_id

    @property
    def reply_to(self) -> str | None:
        return self._properties.reply_to

    @property
    def app_id(self) -> str | None:
        return self._properties.app_id

    @property
    def user_id(self) -> str | None:
        return self._properties.user_id

    @property
    def content_type(self) -> str | None:
        return self._properties.content_type

    @property
    def content_encoding(self) -> str | None:
        return self._properties.content_encoding

    @property
    def timestamp(self) -> datetime | None:
        return self._properties.timestamp

    @property
    def exchange(self) -> str | None:
        return self._message.exchange

    @property
    def routing_key(self) -> str | None:
        return self._message.routing_key

    @property
    def delivery_tag(self) -> int:
        """Counts up within a channel (AMQP 0-9-1, 1.8.3.13)."""
        tag = self._message.delivery_tag
        assert tag is not None  # noqa: S101 - it was delivered, not returned
        return tag

    @property
    def channel(self) -> AbstractChannel:
        return self._message.channel

    @property
    def redelivered(self) -> bool | None:
        return self._message.redelivered


async def consume(
    channel: aiormq.Channel,
    queue: str,
    take: Callable[[Delivery], Awaitable[None]],
    *,
    no_ack: bool = False,
) -> str:
    """Call `take` with each message of `queue`; the consumer's tag.

    With `no_ack`, the broker removes a message as soon as it is delivered.
    """

    async def deliver(message: DeliveredMessage) -> None:
        await take(Delivery(message))

    return str((await channel.basic_consume(queue, deliver, no_ack=no_ack)).consumer_tag)
