"""Settles and removes the queue that each host had in versions without wakes.

Commands for the host's runs waited there. Workers of this version send nothing to it. A worker of
an older version, which may still be up on another host, does, and may have no other record of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused

from shared.aio.retry import until_available
from shared.amqp.channels import (
    AWAY,
    close_channel,
    is_there,
    lost_is_an_error,
    open_channel,
    underlay,
)
from shared.amqp.errors import reason
from shared.amqp.topology import Topology
from shared.postgres.database import Database
from worker.hosts import host_worker
from worker.intake.acks import Unacknowledged
from worker.messages.delivery import Delivery, consume

log = structlog.get_logger(__name__)

_PAUSE: Final = 1.0
"""Polling interval for a queue that is about to be removed, seconds."""

Take = Callable[[Unacknowledged, str, Delivery], Awaitable[None]]


class OldHostQueue:
    def __init__(
        self, database: Database, topology: Topology, host: str, prefetch: int, beat_seconds: float
    ) -> None:
        """`prefetch`: deliveries of the queue that are not acknowledged yet, at most.

        `beat_seconds` is the interval between checks for workers that forward to it.
        """
        self._database = database
        self._topology = topology
        self._host = host
        self._name = topology.old_host_queue(host)
        self._prefetch = prefetch
        self._beat_seconds = beat_seconds

    async def settle(self, connection: AbstractConnection, take: Take) -> None:
        """Call `take` with each message in the queue, if it exists, and then remove it.

        It has its own channels, so that its errors do not affect other commands.
        """
        while not connection.is_closed:
            try:
                with lost_is_an_error():
                    await self._settle(connection, take)
                return
            except ChannelAccessRefused as error:
                log.warning("old_host_queue_refused", queue=self._name, error=str(error))
                return
            except AWAY as error:
                log.info("old_host_queue_lost", queue=self._name, error=reason(error))
            except Exception:
                log.exception("old_host_queue_not_settled", queue=self._name)
            await asyncio.sleep(_PAUSE)

    async def _settle(self, connection: AbstractConnection, take: Take) -> None:
        # Before the check: a command that is forwarded later would be lost.
        is_forwarded_to = await self._is_forwarded_to()
        is_left = await is_there(connection, lambda it: it.declare_queue(self._name, passive=True))
        if not (is_left or is_forwarded_to):
            return
        channel = await open_channel(connection)
        if not is_left:
            await self._topology.declare_old_host_queue(channel, self._host)
        unacknowledged = Unacknowledged()
        await channel.set_qos(prefetch_count=self._prefetch)
        raw = await underlay(channel)
        await consume(raw, self._name, partial(take, unacknowledged, self._name))
        log.info("old_host_queue_found", queue=self._name, forwarded_to=is_forwarded_to)
        while await self._depth(channel) or unacknowledged or is_forwarded_to:
            await asyncio.sleep(self._beat_seconds if is_forwarded_to else _PAUSE)
            # Before the next look at the queue: a message that arrived later would be deleted.
            is_forwarded_to = is_forwarded_to and await self._is_forwarded_to()
        await channel.queue_delete(self._name)
        log.info("old_host_queue_removed", queue=self._name)
        await close_channel(channel)

    async def _is_forwarded_to(self) -> bool:
        """Whether a worker without wakes is up. No such worker can start any more."""
        return await until_available(partial(host_worker.has_old_workers, self._database))

    async def _depth(self, channel: AbstractChannel) -> int:
        """The number of messages in it."""
        queue = await channel.declare_queue(self._name, passive=True)
        return queue.declaration_result.message_count or 0
