"""Which of a policy and a queue's own argument holds: what `effects` takes for granted."""

from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue

from tests.support.broker.managed import VirtualHost
from tools.support.waiting import eventually

_SOON, _NEVER = 100, 600_000
"""Milliseconds."""
_OWN_DEAD, _OTHER_DEAD = "own-dead", "other-dead"


@pytest.fixture
async def channel(virtual_host: VirtualHost) -> AsyncIterator[AbstractChannel]:
    connection = await aio_pika.connect(virtual_host.url)
    async with connection:
        yield await connection.channel()


async def _queue(channel: AbstractChannel, **own: object) -> AbstractQueue:
    """A quorum queue of which dead letters go to `_OWN_DEAD`."""
    for name in (_OWN_DEAD, _OTHER_DEAD):
        await channel.declare_queue(name, durable=True)
    arguments: dict[str, object] = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": _OWN_DEAD,
        **{f"x-{key.replace('_', '-')}": value for key, value in own.items()},
    }
    return await channel.declare_queue("ours", durable=True, arguments=arguments)  # type: ignore[arg-type]  # its values are of more types than it says


async def _publish(channel: AbstractChannel) -> None:
    message = aio_pika.Message(b"", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await channel.default_exchange.publish(message, "ours")


async def _held(virtual_host: VirtualHost) -> None:
    """Return once the policy holds: its statistics may lag behind it, and are never before it."""
    await eventually(lambda: virtual_host.policy_of("ours"), lambda name: name == "it")


async def _number(channel: AbstractChannel, name: str) -> int:
    queue = await channel.declare_queue(name, passive=True)
    return queue.declaration_result.message_count or 0


@pytest.mark.parametrize(("own", "policy"), [(_SOON, _NEVER), (_NEVER, _SOON)])
async def test_the_shorter_time_holds(
    virtual_host: VirtualHost, channel: AbstractChannel, own: int, policy: int
) -> None:
    await _queue(channel, message_ttl=own)
    await virtual_host.set_policy("it", "^ours$", message_ttl=policy)
    await _held(virtual_host)

    await _publish(channel)

    await eventually(lambda: _number(channel, _OWN_DEAD), lambda number: number == 1)


@pytest.mark.parametrize(("own", "policy"), [(2, 50), (50, 2)])
async def test_the_lower_delivery_limit_holds(
    virtual_host: VirtualHost, channel: AbstractChannel, own: int, policy: int
) -> None:
    queue = await _queue(channel, delivery_limit=own)
    await virtual_host.set_policy("it", "^ours$", delivery_limit=policy)
    await _held(virtual_host)
    await _publish(channel)

    deliveries = 0
    while not await _number(channel, _OWN_DEAD):
        if (message := await queue.get(fail=False)) is not None:
            deliveries += 1
            await message.reject(requeue=True)

    assert deliveries == 3


async def test_the_overflow_of_the_policy_holds(
    virtual_host: VirtualHost, channel: AbstractChannel
) -> None:
    await _queue(channel, overflow="reject-publish")
    await virtual_host.set_policy("it", "^ours$", max_length=1, overflow="drop-head")
    await _held(virtual_host)

    for _ in range(2):
        await _publish(channel)

    await eventually(lambda: _number(channel, _OWN_DEAD), lambda number: number == 1)


async def test_the_arguments_for_dead_letters_hold(
    virtual_host: VirtualHost, channel: AbstractChannel
) -> None:
    await _queue(channel, message_ttl=_SOON)
    await virtual_host.set_policy("it", "^ours$", dead_letter_routing_key=_OTHER_DEAD)
    await _held(virtual_host)

    await _publish(channel)

    await eventually(lambda: _number(channel, _OWN_DEAD), lambda number: number == 1)
    assert await _number(channel, _OTHER_DEAD) == 0
