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
        self._again: dict[str, bool] = {}
        """Hosts whose wake is under way, and whether another one is to follow."""

    def wake(self, host: str) -> None:
        """Have `host` look. Each one has one wake under way; who asks meanwhile gets another."""
        if host in self._again:
            self._again[host] = True
        else:
            self._again[host] = False
            self._tasks.create_task(self._send(host))

    async def _send(self, host: str) -> None:
        try:
            while True:
                self._again[host] = False
                message = Message(b"", delivery_mode=DeliveryMode.NOT_PERSISTENT, type=_TYPE)
                await self._publisher.publish(self._topology.wakes, host, message)
                if not self._again[host]:
                    break
        except PublishRefused:
            pass  # its worker is away: it looks when it comes
        except ServiceUnavailable as error:
            log.info("wake_lost", host=host, error=str(error))
        finally:
            del self._again[host]
