"""Hints to another host's worker that there is something to do, published and forgotten.

A lost one costs a heartbeat at most, so nobody waits for its confirm.
"""

import asyncio
from typing import Final

import structlog
from aio_pika import DeliveryMode, Message

from shared.amqp.broker import Publisher
from shared.amqp.topology import Topology
from shared.errors import PublishRefused, ServiceUnavailable

log = structlog.get_logger(__name__)

_TYPE: Final = "ci.run.wake.v1"


class Wakes:
    def __init__(self, publisher: Publisher, topology: Topology, tasks: asyncio.TaskGroup) -> None:
        self._publisher = publisher
        self._topology = topology
        self._tasks = tasks
        self._due: set[str] = set()
        self._in_flight: set[str] = set()

    def wake(self, host: str) -> None:
        """Have `host` look. Each one has one wake under way; who asks meanwhile gets another."""
        self._due.add(host)
        if host not in self._in_flight:
            self._in_flight.add(host)
            self._tasks.create_task(self._send(host))

    async def _send(self, host: str) -> None:
        try:
            while host in self._due:
                self._due.discard(host)
                message = Message(b"", delivery_mode=DeliveryMode.NOT_PERSISTENT, type=_TYPE)
                await self._publisher.publish(self._topology.wakes, host, message)
        except PublishRefused:
            pass  # its worker is away: it looks when it comes
        except ServiceUnavailable as error:
            log.info("wake_lost", host=host, error=str(error))
        finally:
            self._due.discard(host)
            self._in_flight.discard(host)
