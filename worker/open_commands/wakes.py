"""Wakes for the workers of other hosts.

A lost wake costs one heartbeat at most, so no task waits for its confirm.
"""

import asyncio
from typing import Final

import structlog
from aio_pika import DeliveryMode, Message

from shared.amqp.publisher import Publisher
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
        """Hosts with a wake in flight, and whether another one must follow."""

    def wake(self, host: str) -> None:
        """Wake the worker of `host`. One wake is in flight per host; later calls send one more."""
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
            pass  # its worker is down, and looks when it starts
        except ServiceUnavailable as error:
            log.info("wake_lost", host=host, error=str(error))
        finally:
            del self._again[host]
