"""What is published straight to the broker, and what waits in its queues."""

import json
from collections.abc import Iterable
from random import Random
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from shared.amqp.channels import is_there
from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE
from shared.registrations import QUEUED_TYPE
from tools.support.broker_names import delete_names
from tools.upgrade.ledger import new_tag, published


class Broker:
    """The broker as a publisher and an operator see it."""

    def __init__(self, url: str, connection: AbstractConnection, topology: Topology) -> None:
        self._user = URL(url).user
        self._connection = connection
        self._topology = topology

    async def cancel(self, run_id: int, attempt: int | None = None) -> str:
        """Publish a command with a confirm; its tag. `attempt`: one that comes from a retry."""
        tag, command_id = new_tag("direct", run_id), str(uuid4())
        message = aio_pika.Message(
            published(tag, run_id, command_id),
            message_id=command_id,
            type=CANCEL_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            user_id=self._user if attempt else None,
            headers={"x-attempt": attempt} if attempt else {},
        )
        await self._publish(message, CANCEL_KEY)
        return tag

    async def cancel_badly(self, run_id: int) -> str:
        """Publish a command that cannot be read, with a text as long as they come; its tag."""
        tag = new_tag("malformed", run_id)
        # What repeats itself would be compressed.
        name = "".join(map(chr, Random(run_id).choices(range(0x4E00, 0x9FA5), k=1000)))
        body = published(tag, run_id, "no UUID", requested_by=name)
        await self._publish(aio_pika.Message(body, type=CANCEL_TYPE), CANCEL_KEY)
        return tag

    async def register(self, run_id: int) -> None:
        """Publish a registration with a confirm."""
        message = aio_pika.Message(
            json.dumps({"run_id": run_id, "labels": {"by": "message"}}).encode(),
            type=QUEUED_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._publish(message, QUEUED_KEY)

    async def _publish(self, message: aio_pika.Message, key: str) -> None:
        async with self._connection.channel(on_return_raises=True) as channel:
            exchange = await channel.get_exchange(self._topology.commands, ensure=False)
            await exchange.publish(message, key, mandatory=True)

    async def depth(self, queue: str) -> int | None:
        """How many messages wait in a queue; None where there is no such queue."""
        found: list[int] = []

        async def look(channel: AbstractChannel) -> None:
            declared = await channel.declare_queue(queue, passive=True)
            found.append(declared.declaration_result.message_count or 0)

        return found[0] if await is_there(self._connection, look) else None

    async def host_queues(self, hosts: Iterable[str]) -> dict[str, int]:
        """The old queues that are there, and how many messages wait in each."""
        names = [self._topology.old_host_queue(host) for host in hosts]
        depths = {name: await self.depth(name) for name in names}
        return {name: depth for name, depth in depths.items() if depth is not None}

    async def remove_names(self, hosts: Iterable[str], *queues: str) -> None:
        channel = await self._connection.channel()
        await delete_names(channel, self._topology)
        for name in (*map(self._topology.old_host_queue, hosts), *queues):
            await channel.queue_delete(name)
