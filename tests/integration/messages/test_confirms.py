"""Many publishes at once on one channel: each gets the broker's answer to itself.

Each test runs with both implementations.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import uuid4

import pytest
from aio_pika import Message

from shared.amqp.confirms.joined import JoinedConfirms
from shared.amqp.confirms.plain import PlainConfirms
from shared.amqp.keys import CANCEL_KEY
from shared.amqp.publisher import Publisher
from shared.configuration.settings import ServiceSettings
from shared.errors import PublishRefused, PublishUnknown
from shared.lifecycle import Shutdown
from tests.support.broker.queues import holds
from tools.support.system import System

NOWHERE = "no.queue.takes.this"
LARGE = 300_000
"""Bytes: more than two frames of RabbitMQ's usual 128 KiB."""


Publishing = Callable[[System], AbstractAsyncContextManager[Publisher]]


@pytest.fixture(params=[JoinedConfirms, PlainConfirms])
def publishing(request: pytest.FixtureRequest) -> Publishing:
    @asynccontextmanager
    async def publishing(system: System) -> AsyncIterator[Publisher]:
        settings = ServiceSettings.model_validate(system.environment)
        publisher = Publisher(settings, "test", confirms_on=request.param)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publisher.run(system.topology.declare))
                await publisher.wait_ready()
                yield publisher
                raise Shutdown
        except* Shutdown:
            pass

    return publishing


async def outcomes(
    system: System, publisher: Publisher, messages: list[tuple[str, Message]]
) -> list[bool]:
    """Publish all at once under their keys; for each, whether the broker took it."""

    async def publish(key: str, message: Message) -> bool:
        try:
            await publisher.publish(system.topology.commands, key, message)
        except PublishRefused:
            return False
        return True

    return await asyncio.gather(*(publish(key, message) for key, message in messages))


async def test_what_is_refused_is_told_from_what_is_taken(
    system: System, publishing: Publishing
) -> None:
    keys = [CANCEL_KEY if number % 3 else NOWHERE for number in range(900)]
    async with publishing(system) as publisher:
        taken = await outcomes(
            system, publisher, [(key, Message(b"{}", message_id=uuid4().hex)) for key in keys]
        )

    assert taken == [key == CANCEL_KEY for key in keys]
    await holds(system, system.topology.cancel, 600)


async def test_two_with_one_id_do_not_get_each_others_answer(
    system: System, publishing: Publishing
) -> None:
    keys = [CANCEL_KEY, NOWHERE, CANCEL_KEY, NOWHERE, NOWHERE, CANCEL_KEY]
    async with publishing(system) as publisher:
        taken = await outcomes(
            system, publisher, [(key, Message(b"{}", message_id="one")) for key in keys]
        )

    assert taken == [key == CANCEL_KEY for key in keys]
    await holds(system, system.topology.cancel, 3)


async def test_without_an_id_it_is_known_all_the_same(
    system: System, publishing: Publishing
) -> None:
    async with publishing(system) as publisher:
        taken = await outcomes(
            system, publisher, [(CANCEL_KEY, Message(b"{}")), (NOWHERE, Message(b"{}"))]
        )

    assert taken == [True, False]


@pytest.mark.parametrize("body", [b"", b"x", b"y" * LARGE], ids=["empty", "short", "large"])
async def test_a_body_of_any_length_arrives_whole(
    system: System, publishing: Publishing, body: bytes
) -> None:
    async with publishing(system) as publisher:
        await publisher.publish(system.topology.commands, CANCEL_KEY, Message(body))

    queue = await system.channel.get_queue(system.topology.cancel, ensure=False)
    message = await queue.get(timeout=10)
    assert message is not None
    assert message.body == body
    await message.ack()


async def test_what_comes_right_after_its_channel_was_closed_waits_for_the_next_one(
    system: System, publishing: Publishing
) -> None:
    async with publishing(system) as publisher:
        with pytest.raises((PublishRefused, PublishUnknown)):
            await publisher.publish("no.such.exchange", CANCEL_KEY, Message(b"{}"))
        # Before anything else gets a turn of the loop.
        await publisher.publish(system.topology.commands, CANCEL_KEY, Message(b"{}"))

    await holds(system, system.topology.cancel, 1)
