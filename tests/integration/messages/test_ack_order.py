"""Acknowledgements of one channel come to the broker in an order in which it knows all of them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import aio_pika
import aiormq
from structlog.testing import capture_logs

from shared.amqp.channels import open_channel, underlay
from tests.support.broker.queues import holds
from tools.support.program import DEADLINE
from tools.support.system import System
from worker.intake.acks import Unacknowledged
from worker.messages.delivery import Delivery, consume


async def test_between_the_frames_of_one_settlement_comes_no_other(system: System) -> None:
    async with delivered(system, 7) as window:
        await asyncio.gather(
            window.unacknowledged.acknowledge(window.channel, [1, 2, 4, 5]),
            # All that is left up to the 6th: 4 and 5 are out of hand, but may not be on their way.
            window.unacknowledged.acknowledge(window.channel, [3, 6]),
        )
        await window.has_room_for(6)

    await holds(system, system.topology.cancel, 1 + 6)


async def test_many_that_settle_at_once_leave_the_channel_open(system: System) -> None:
    order = Random(1)
    tags = order.sample(range(1, 2001), 2000)
    async with delivered(system, 2000) as window:
        async with asyncio.TaskGroup() as tasks:
            while tags:
                some = [tags.pop() for _ in range(min(len(tags), order.randint(1, 5)))]
                tasks.create_task(acknowledge_later(window, some, order.random() / 5))
        await window.has_room_for(2000)

    await holds(system, system.topology.cancel, 2000)


async def test_why_the_broker_closed_a_channel_is_in_the_log(system: System) -> None:
    with capture_logs() as logged:
        async with delivered(system, 1) as window:
            await window.channel.basic_ack(99)
            async with asyncio.timeout(DEADLINE):
                await asyncio.wait([window.channel.closing])

    [said] = [entry for entry in logged if entry["event"] == "channel_closed_by_broker"]
    assert "unknown delivery tag 99" in said["error"]


@dataclass
class Window:
    """A channel whose prefetch is what was delivered first, with the tags 1 and up."""

    system: System
    channel: aiormq.Channel
    unacknowledged: Unacknowledged = field(default_factory=Unacknowledged)
    wanted: int = 0
    all_here: asyncio.Event = field(default_factory=asyncio.Event)

    async def has_room_for(self, messages: int) -> None:
        """Wait until the queue has taken so many acknowledgements: it sends as many more.

        That the channel answers would say less. It may still keep acknowledgements for a busy
        quorum queue, and lose them when it is closed (RabbitMQ 3.10.8: up to 963 of 2000 came
        again, none after a second's wait).
        """
        self.all_here.clear()
        self.wanted += messages
        await asyncio.gather(*(self.system.publish(run_id) for run_id in range(1, messages + 1)))
        async with asyncio.timeout(DEADLINE):
            await self.all_here.wait()

    async def take(self, message: Delivery) -> None:
        self.unacknowledged.add(message.delivery_tag)
        if message.delivery_tag == self.wanted:
            self.all_here.set()


@asynccontextmanager
async def delivered(system: System, messages: int) -> AsyncIterator[Window]:
    """So many messages in hand."""
    async with await aio_pika.connect(system.amqp_url) as connection:
        opened = await open_channel(connection)
        await opened.set_qos(prefetch_count=messages)
        await system.topology.declare_worker(opened)
        window = Window(system, await underlay(opened))
        await consume(window.channel, system.topology.cancel, window.take)
        await window.has_room_for(messages)
        yield window


async def acknowledge_later(window: Window, tags: Iterable[int], seconds: float) -> None:
    await asyncio.sleep(seconds)
    await window.unacknowledged.acknowledge(window.channel, tags)
