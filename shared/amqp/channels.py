"""Channels that report when they, or a consumer on them, are lost, which aiormq does not."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

import aiormq
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    AMQPError,
    ChannelClosed,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
)

from shared.aio.tasks import cancellation_noticed, first_of
from shared.amqp.body_limit import limit_bodies
from shared.commands import MAX_BODY

log = structlog.get_logger(__name__)

AWAY = (OSError, AMQPError, ChannelInvalidStateError)
"""The exceptions of a RabbitMQ outage. OSError includes TimeoutError."""
DECLARE_TIMEOUT = 30.0
"""Seconds that opening a channel and declaring all names may take, or closing one."""


class lost_is_an_error:  # noqa: N801 - used like a function
    """Raise ConnectionError for the other ways in which aiormq 7.2 reports a lost connection.

    After missed heartbeats, calls that wait for the broker get CancelledError, which would silently
    end our task as if it had been canceled. Calls that wait for their bytes to be sent get a plain
    Exception without a message.

    A task that was really canceled stays canceled, whichever error came instead.
    """

    __slots__ = ("_was_canceled",)

    def __enter__(self) -> None:
        self._was_canceled = cancellation_noticed()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            if not self._was_canceled():
                raise ConnectionError("the connection was lost") from None
        elif isinstance(error, Exception):
            if self._was_canceled():
                raise asyncio.CancelledError from error
            if kind is Exception:
                raise ConnectionError("the connection was lost") from error


async def open_channel(connection: AbstractConnection) -> AbstractChannel:
    """Open a confirming channel, which closes when the broker ends one of its consumers.

    Of each body that it delivers, no more than `MAX_BODY` bytes are kept. Raises OSError when the
    connection is lost meanwhile.
    """
    try:
        # on_return_raises defaults to False, with which an unroutable publish succeeds.
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        limit_bodies(await underlay(channel), MAX_BODY)
        await _close_with_consumers(channel)
        channel.close_callbacks.add(_log_close)
    except RuntimeError as error:
        # What aiormq 7.2 raises on a connection that is closed but not yet reported so.
        raise ConnectionError(str(error)) from error
    return channel


async def open_channel_to_look(connection: AbstractConnection) -> AbstractChannel:
    """Open a channel to look for names on. A missing name closes it, which is not logged.

    Raises OSError when the connection is lost meanwhile.
    """
    try:
        return await connection.channel(publisher_confirms=False)
    except RuntimeError as error:
        raise ConnectionError(str(error)) from error


async def close_channel(channel: AbstractChannel) -> None:
    """Close a channel, also if it is being lost. Raises TimeoutError.

    aiormq 7.2 drops a cancellation that comes at the same moment as the broker's answer, and the
    task that was to end would go on.
    """
    async with asyncio.timeout(DECLARE_TIMEOUT):
        await first_of(channel.close())


async def is_there(
    connection: AbstractConnection, ask: Callable[[AbstractChannel], Awaitable[object]]
) -> bool:
    """Whether the broker has what `ask` declares passively.

    Raises OSError when the connection is lost meanwhile.
    """
    channel = await open_channel_to_look(connection)
    try:
        await ask(channel)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


def _log_close(_channel: object, error: BaseException | None) -> None:
    # Usually a bug of ours. The connection is opened again, and works or fails again.
    if isinstance(error, ChannelClosed) and error.args[0] is not None:
        log.warning("channel_closed_by_broker", error=str(error))


async def underlay(channel: AbstractChannel) -> aiormq.Channel:
    """The aiormq channel below aio-pika's."""
    return cast(aiormq.Channel, await channel.get_underlay_channel())


async def _close_with_consumers(channel: AbstractChannel) -> None:
    """Report a consumer that the broker ended because its queue was deleted.

    Otherwise it would wait for messages forever, even after the queue is declared again.
    """
    closing: set[asyncio.Task[None]] = set()

    async def close() -> None:
        with suppress(*AWAY), lost_is_an_error():
            async with asyncio.timeout(DECLARE_TIMEOUT):
                await channel.close()

    def ended(_frame: object) -> None:
        log.warning("consumer_ended_by_broker")
        # Not here: this runs in the task that reads the broker's frames.
        closing.add(task := asyncio.create_task(close()))
        task.add_done_callback(closing.discard)

    (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(ended)
