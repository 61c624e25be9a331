"""What aiormq leaves to its users: channels that say when they, or a consumer on them, are lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

log = structlog.get_logger(__name__)

AWAY = (OSError, TimeoutError, AMQPError, ChannelInvalidStateError)
"""What an outage of RabbitMQ looks like."""
DECLARE_TIMEOUT = 30.0
"""Seconds that opening a channel and declaring all names may take."""


@asynccontextmanager
async def lost_is_an_error() -> AsyncIterator[None]:
    """Raise ConnectionError where aiormq 7.2 says in its own ways that the connection was lost.

    When heartbeats run out it ends what waits for the broker with CancelledError, which would
    silently end our task, as if somebody had asked for that. What waits for its bytes to be sent
    gets an Exception of no class and no words.

    Whoever was canceled meanwhile stays so: some waits of the library, and asyncio's in Python
    3.11, raise the error of a connection that is lost at the same moment instead.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    asked_for = task.cancelling()
    try:
        yield
    except asyncio.CancelledError:
        if task.cancelling() > asked_for:
            raise
        raise ConnectionError("the connection was lost") from None
    except Exception as error:
        if task.cancelling() > asked_for:
            raise asyncio.CancelledError from error
        if type(error) is Exception:
            raise ConnectionError("the connection was lost") from error
        raise


async def open_channel(connection: AbstractConnection) -> AbstractChannel:
    """Open a confirming channel, which closes when the broker ends one of its consumers.

    Raises OSError when the connection is lost meanwhile.
    """
    try:
        # on_return_raises defaults to False, and then an unroutable publish succeeds.
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await _close_with_consumers(channel)
    except RuntimeError as error:
        # What aiormq 7.2 raises on a connection that is closed but not yet reported so.
        raise ConnectionError(str(error)) from error
    return channel


async def _close_with_consumers(channel: AbstractChannel) -> None:
    """A consumer that the broker ends, because its queue was deleted, says nothing by itself.

    It would wait for messages for ever, also once the queue is there again.
    """
    closing: set[asyncio.Task[None]] = set()

    async def close() -> None:
        with suppress(*AWAY):
            async with asyncio.timeout(DECLARE_TIMEOUT), lost_is_an_error():
                await channel.close()

    def ended(_frame: object) -> None:
        log.warning("consumer_ended_by_broker")
        # Not here: this runs in what reads the broker's answers.
        closing.add(task := asyncio.create_task(close()))
        task.add_done_callback(closing.discard)

    (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(ended)
