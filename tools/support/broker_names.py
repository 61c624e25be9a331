"""The names that an installation has in the broker."""

from aio_pika.abc import AbstractChannel

from shared.amqp.topology import Topology


async def delete_names(channel: AbstractChannel, topology: Topology) -> None:
    """Delete every queue and exchange, as if none had ever been declared."""
    for name in topology.queues():
        await channel.queue_delete(name)
    for name in (topology.commands, topology.dead_exchange, topology.events, topology.wakes):
        await channel.exchange_delete(name)
