"""Notices that RabbitMQ takes no messages from us: a node has a memory or disk alarm.

RabbitMQ tells those who publish during an alarm, and nobody else. All nodes of a cluster do this,
and all gateways have it alike: none is less ready than another.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from aio_pika.abc import AbstractConnection
from prometheus_client import CollectorRegistry, Gauge

from shared.deferred_logs import get_logger
from shared.services.warnings import About, Warnings

log = get_logger(__name__)

_MESSAGE: Final = (
    "RabbitMQ accepts no messages: a node has a memory or disk alarm (rabbitmqctl status)"
)


class Publishing(Protocol):
    async def is_blocked(self) -> bool:
        """Whether RabbitMQ has said that it takes no messages from it."""


async def is_blocked(connection: AbstractConnection) -> bool:
    """Whether RabbitMQ has said so on this connection, and not taken it back."""
    transport = connection.transport
    if transport is None or connection.is_closed:
        return False
    try:
        async with asyncio.timeout(0):  # if it is not blocked, the answer is there at once
            await transport.connection.ready()
    except TimeoutError:
        return not connection.is_closed
    return False


class BlockedWatch:
    """Logs when publishing is blocked and when it is not any more; /readyz and a metric show it."""

    def __init__(
        self, publishers: Sequence[Publishing], warnings: Warnings, registry: CollectorRegistry
    ) -> None:
        self._publishers = publishers
        self._warnings = warnings
        self._is_blocked = False
        self._gauge = Gauge(
            "cancel_publishing_blocked",
            "Whether RabbitMQ takes no messages, because of a memory or disk alarm (1).",
            registry=registry,
        )

    async def look(self) -> None:
        """Tell what has changed."""
        found = [await each.is_blocked() for each in self._publishers]
        now = any(found)
        self._gauge.set(now)
        self._warnings.tell(About.RABBITMQ_ALARM, [_MESSAGE] if now else [])
        if now and not self._is_blocked:
            log.warning("publishing_blocked", reason=_MESSAGE)
        elif self._is_blocked and not now:
            log.info("publishing_goes_on")
        self._is_blocked = now
