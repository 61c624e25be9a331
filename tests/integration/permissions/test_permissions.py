"""The documented broker permissions: each user can do nothing else, and could do with no less."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused

from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY, REST_KEY
from shared.amqp.topology import Topology
from tests.support.broker.broker_users import OWN_QUEUE, WORK, Broker, get, narrower, send
from tests.support.broker.permitted import Programs, start_programs, system_on
from tools.services import Services
from tools.support.broker_names import delete_names
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES: Final = Topology()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    broker: Broker, services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    directory = tmp_path_factory.mktemp("permissions")
    async with system_on(broker, services, template, directory) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def programs(system: System, broker: Broker) -> Programs:
    return await start_programs(system, broker)


async def _consume(channel: AbstractChannel, name: str) -> None:
    taken: asyncio.Queue[object] = asyncio.Queue()
    await (await channel.get_queue(name, ensure=False)).consume(taken.put, no_ack=True)


async def _bind(
    channel: AbstractChannel, queue: str, key: str = REST_KEY, exchange: str = NAMES.commands
) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(exchange, key)


Attempt = Callable[[AbstractChannel], Awaitable[object]]

FORBIDDEN: Final[dict[str, Attempt]] = {
    "consume commands": lambda channel: _consume(channel, NAMES.cancel),
    "get dead letters": lambda channel: get(channel, NAMES.dead),
    "get from a retry queue": lambda channel: get(channel, NAMES.retry(1)),
    "publish a dead letter": lambda channel: send(channel, NAMES.dead_exchange, NAMES.cancel),
    "publish an event": lambda channel: send(channel, NAMES.events, "run.finished"),
    "delete the events": lambda channel: channel.exchange_delete(NAMES.events),
    "have events delivered to others": lambda channel: _bind(
        channel, NAMES.cancel, "#", NAMES.events
    ),
    "wake a worker": lambda channel: send(channel, NAMES.wakes, "h1"),
    "publish to a retry queue": lambda channel: send(channel, "", NAMES.retry(1)),
    "register past the exchange": lambda channel: send(channel, "", NAMES.queued),
    "consume registrations": lambda channel: _consume(channel, NAMES.queued),
    "publish past the exchange": lambda channel: send(channel, "", NAMES.cancel),
    "publish to another exchange": lambda channel: send(channel, "amq.topic", CANCEL_KEY),
    "publish by a key of its own": lambda channel: send(channel, NAMES.commands, "run.other"),
    "have commands become dead letters": lambda channel: _bind(channel, NAMES.dead),
    "have commands delivered twice": lambda channel: _bind(channel, NAMES.cancel),
    "declare a queue": lambda channel: channel.declare_queue("mine"),
    "declare a queue without a name": lambda channel: channel.declare_queue(exclusive=True),
    "declare the exchange": lambda channel: channel.declare_exchange(
        NAMES.commands, aio_pika.ExchangeType.TOPIC, durable=True
    ),
    "delete the exchange": lambda channel: channel.exchange_delete(NAMES.commands),
    "delete a queue": lambda channel: channel.queue_delete(NAMES.cancel),
}


@pytest.mark.parametrize("user", ["publisher", "platform", "gateway"])
@pytest.mark.parametrize("attempt", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_publishers_platform_and_gateway_can_do_nothing_but_publish(
    system: System, programs: Programs, broker: Broker, user: str, attempt: Attempt
) -> None:
    async with await aio_pika.connect(broker.url_of(user)) as connection:
        channel = await connection.channel(on_return_raises=True)
        with pytest.raises(ChannelAccessRefused):
            await attempt(channel)


@pytest.mark.parametrize(
    ("user", "key"),
    [
        *(("publisher", REST_KEY), ("publisher", QUEUED_KEY)),
        *(("platform", REST_KEY), ("platform", CANCEL_KEY)),
        *(("gateway", CANCEL_KEY), ("gateway", QUEUED_KEY)),
        ("worker", REST_KEY),
    ],
)
async def test_each_publishes_by_its_own_key_alone(
    programs: Programs, broker: Broker, user: str, key: str
) -> None:
    async with await aio_pika.connect(broker.url_of(user)) as connection:
        channel = await connection.channel(on_return_raises=True)
        with pytest.raises(ChannelAccessRefused):
            await send(channel, NAMES.commands, key)


@pytest.mark.parametrize(
    "attempt",
    [
        *(
            FORBIDDEN[name]
            for name in FORBIDDEN
            if name not in ("declare a queue without a name", "publish by a key of its own")
        ),
        lambda channel: send(channel, NAMES.commands, CANCEL_KEY),
        lambda channel: send(channel, NAMES.commands, REST_KEY),
        lambda channel: send(channel, NAMES.events, "run.finished"),
        lambda channel: send(channel, "", OWN_QUEUE),
        lambda channel: _bind(channel, OWN_QUEUE, "#", NAMES.commands),
        lambda channel: _bind(channel, OWN_QUEUE, "#", NAMES.dead_exchange),
        lambda channel: channel.declare_queue(exclusive=True),
        lambda channel: channel.exchange_delete(NAMES.events),
    ],
)
async def test_a_consumer_of_events_can_do_nothing_but_consume_events(
    system: System, programs: Programs, broker: Broker, attempt: Attempt
) -> None:
    async with await aio_pika.connect(broker.url_of("consumer")) as connection:
        channel = await connection.channel(on_return_raises=True)
        await channel.declare_queue(OWN_QUEUE, durable=True)
        with pytest.raises(ChannelAccessRefused):
            await attempt(channel)
    await system.channel.queue_delete(OWN_QUEUE)


WORKER_FORBIDDEN: Final[dict[str, Attempt]] = {
    "have commands become dead letters": lambda channel: _bind(channel, NAMES.dead, "#"),
    "read what others have": lambda channel: _bind(channel, NAMES.cancel, "#", "amq.topic"),
    "declare a queue": lambda channel: channel.declare_queue("mine"),
}


@pytest.mark.parametrize("attempt", WORKER_FORBIDDEN.values(), ids=WORKER_FORBIDDEN)
async def test_a_worker_can_neither_redirect_commands_nor_declare_other_names(
    system: System, programs: Programs, broker: Broker, attempt: Attempt
) -> None:
    async with await aio_pika.connect(broker.url_of("worker")) as connection:
        channel = await connection.channel(on_return_raises=True)
        with pytest.raises(ChannelAccessRefused):
            await attempt(channel)


NARROW: Final = Topology("narrow.")


@pytest.mark.parametrize("user", ["gateway", "worker", "consumer"])
async def test_none_of_it_can_be_left_out(system: System, broker: Broker, user: str) -> None:
    variants = narrower(user, NARROW)
    broker.add_users({f"{user} {variant}": it for variant, it in variants.items()}, NARROW)
    enough = []

    for variant in variants:
        if user in ("gateway", "consumer"):
            await NARROW.declare_worker(system.channel)
        async with await aio_pika.connect(broker.url_of(f"{user} {variant}")) as connection:
            with suppress(ChannelAccessRefused):
                await WORK[user](connection, NARROW)
                enough.append(variant)
        await delete_names(system.channel, NARROW)
        await system.channel.queue_delete(OWN_QUEUE)

    assert enough == ["whole"]
