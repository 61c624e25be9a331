"""The queue that each host had before there were wakes: settled, and removed.

Commands for the host's runs waited there. Nothing declares it or publishes to it any more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused

from shared.amqp.channels import AWAY, is_there, lost_is_an_error, open_channel, underlay
from shared.amqp.errors import reason
from worker.intake.acks import Unacknowledged
from worker.messages.delivery import Delivery, consume

log = structlog.get_logger(__name__)

_PAUSE: Final = 1.0
"""Seconds between two looks."""

Take = Callable[[Unacknowledged, str, Delivery], Awaitable[None]]


async def settle_old_host_queue(
    connection: AbstractConnection, name: str, prefetch: int, take: Take
) -> None:
    """Have `take` called with what is in the queue, if there is one, and remove it then.

    On a channel of its own: whatever is wrong with it keeps no other command from being taken.
    """
    try:
        with lost_is_an_error():
            if not await is_there(connection, lambda it: it.declare_queue(name, passive=True)):
                return
            channel = await open_channel(connection)
            in_hand = Unacknowledged()
            await channel.set_qos(prefetch_count=prefetch)
            raw = await underlay(channel)
            await consume(raw, name, partial(take, in_hand, name))
            log.info("old_host_queue_found", queue=name)
            while in_hand or await _depth(channel, name):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(_PAUSE)
            await channel.queue_delete(name)
            log.info("old_host_queue_removed", queue=name)
            await channel.close()
    except ChannelAccessRefused as error:
        log.warning("old_host_queue_refused", queue=name, error=str(error))
    except AWAY as error:
        log.info("old_host_queue_lost", queue=name, error=reason(error))


async def _depth(channel: AbstractChannel, name: str) -> int:
    """How many messages wait in it."""
    queue = await channel.declare_queue(name, passive=True)
    return queue.declaration_result.message_count or 0
