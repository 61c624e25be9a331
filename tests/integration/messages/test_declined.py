"""What the broker declines is not lost: the message stays in its queue, unacknowledged."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aio_pika
import pytest

from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY
from tests.support.broker.queues import holds
from tools.support.system import System

BODY: Final = b"neither a command nor a registration"


@asynccontextmanager
async def dead_letters_declined(system: System) -> AsyncIterator[None]:
    """Have one more queue for dead letters, which is full.

    RabbitMQ confirms a message once all queues have taken it, and declines it if one of them has.
    """
    full = await system.channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await system.channel.default_exchange.publish(aio_pika.Message(b""), full.name)
    await full.bind(system.topology.dead_exchange, "#")
    yield
    await full.delete(if_empty=False)


@pytest.mark.parametrize("key", [CANCEL_KEY, QUEUED_KEY])
async def test_a_message_whose_dead_letter_is_declined_stays_in_its_queue(
    system: System, key: str
) -> None:
    queue = {CANCEL_KEY: system.topology.cancel, QUEUED_KEY: system.topology.queued}[key]
    worker = await system.worker()
    async with dead_letters_declined(system):
        await system.publish_raw(BODY, key)
        declined = "RabbitMQ declined the message (negative confirm)"
        await worker.event("service_unavailable", error=declined)

        await worker.kill()

        await holds(system, queue, 1)
