"""The documented broker permissions: enough for each user, and no more than that."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, Final
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from shared.amqp.topology import CANCEL_KEY, REST_KEY, Topology
from shared.commands import CANCEL_TYPE, GATEWAY_APP_ID
from tests.support.broker.broker_users import WORK, Broker, get, narrower, send
from tests.support.http.api import Api
from tests.support.repository.documents import broker_commands, permissions
from tools.services import Services
from tools.services.databases import new_database
from tools.support.broker_names import delete_names
from tools.support.program import Program
from tools.support.rows import RUNNING, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES: Final = Topology()
ELSEWHERE: Final = str(RUNNING["host"])

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    broker: Broker,
    services: Services,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[System]:
    directory = tmp_path_factory.mktemp("permissions")
    async with (
        new_database(services, template) as database_url,
        System(database_url, broker.url, directory, prefix="").running() as running,
    ):
        await running.delete_names()
        yield running


@dataclass(frozen=True, slots=True)
class Programs:
    api: Api
    worker: Program


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def programs(system: System, broker: Broker) -> Programs:
    """Gateway and worker, as their own users, on a broker where nothing is declared yet.

    The gateway comes first, and declares nothing.
    """
    gateway = await system.program(
        "gateway", "serve", "--port", "0", AMQP_URL=broker.url_of("gateway")
    )
    url = str((await gateway.event("gateway_ready"))["url"])
    worker = await system.worker(
        env={"AMQP_URL": broker.url_of("worker")}, gateway_user="gateway", keep_dead_letters=True
    )
    await worker.event("keeping_dead_letters")
    await gateway.event("names_declared")
    return Programs(Api(url, system.http, await system.token()), worker)


@pytest_asyncio.fixture(loop_scope="module")
async def publisher(broker: Broker, programs: Programs) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(broker.url_of("publisher")) as connection:
        yield await connection.channel(on_return_raises=True)


async def _publish(channel: AbstractChannel, run_id: int, **properties: Any) -> str:
    command = {"command_id": str(uuid4()), "run_id": run_id, "requested_by": "merge-queue"}
    exchange = await channel.get_exchange(NAMES.commands, ensure=False)
    message = aio_pika.Message(
        json.dumps(command).encode(),
        message_id=str(command["command_id"]),
        **{"type": CANCEL_TYPE, **properties},
    )
    await exchange.publish(message, CANCEL_KEY, mandatory=True)
    return str(command["command_id"])


async def test_gateway_and_worker_cancel_a_run(system: System, programs: Programs) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    assert (await programs.api.cancel(run_id)).status == 202

    await system.status_becomes(run_id, "canceled")
    (row,) = await system.cancellations(run_id)
    assert (row["via"], row["publisher"]) == ("rest", "gateway")


async def test_the_worker_may_retry_wake_and_keep_dead_letters(
    system: System, programs: Programs, publisher: AbstractChannel
) -> None:
    early, elsewhere = next(run_ids), next(run_ids)
    await insert_run(system.database, elsewhere, RUNNING)

    command_id = await _publish(publisher, early)
    await programs.worker.event("command_retried", run_id=early)
    await system.add_run(early)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"

    command_id = await _publish(publisher, elsewhere)
    await programs.worker.event("command_open", command_id=command_id, waits_for=ELSEWHERE)

    await _publish(publisher, 1, type="something.else")
    await programs.worker.event("dead_letters_kept")
    assert await system.database.fetchval("SELECT reason FROM dead_letters") == "unknown_type"


async def test_an_operator_replays_with_a_publishers_permissions(
    system: System, programs: Programs, publisher: AbstractChannel, broker: Broker
) -> None:
    kept = sum(event["event"] == "dead_letters_kept" for event in programs.worker.events)
    await _publish(publisher, 1, type="something.else")
    await programs.worker.event("dead_letters_kept", count=kept + 1)

    code, _, err = await system.cli(
        *("worker", "dead-letters", "replay", "--all"),
        env={"AMQP_URL": broker.url_of("publisher")},
    )

    assert code == 0, err
    assert await system.database.fetchval("SELECT true FROM dead_letters WHERE state = 'replayed'")


async def test_what_a_publisher_publishes_is_carried_out_and_recorded_as_its(
    system: System, publisher: AbstractChannel
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    row = await system.outcome_of(await _publish(publisher, run_id, user_id="publisher"))

    assert row["outcome"] == "canceled"
    recorded = (row["via"], row["publisher"], row["requested_by"])
    assert recorded == ("direct", "publisher", "merge-queue")


async def test_a_publisher_cannot_pass_for_the_gateway(
    system: System, publisher: AbstractChannel
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    row = await system.outcome_of(
        await _publish(publisher, run_id, user_id="publisher", app_id=GATEWAY_APP_ID)
    )

    assert (row["via"], row["publisher"]) == ("direct", "publisher")


async def test_a_publisher_cannot_claim_to_be_another_user(
    system: System, publisher: AbstractChannel
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    with pytest.raises(ChannelPreconditionFailed, match="user_id"):
        await _publish(publisher, run_id, user_id="gateway")

    assert (await system.run(run_id))["status"] == "queued"


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
    "wake a worker": lambda channel: send(channel, NAMES.wakes, "h1"),
    "publish to a retry queue": lambda channel: send(channel, "", NAMES.retry(1)),
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


@pytest.mark.parametrize("user", ["publisher", "gateway"])
@pytest.mark.parametrize("attempt", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_publishers_and_gateway_can_do_nothing_but_publish(
    system: System, programs: Programs, broker: Broker, user: str, attempt: Attempt
) -> None:
    async with await aio_pika.connect(broker.url_of(user)) as connection:
        channel = await connection.channel(on_return_raises=True)
        with pytest.raises(ChannelAccessRefused):
            await attempt(channel)


@pytest.mark.parametrize(
    ("user", "key"),
    [("publisher", REST_KEY), ("gateway", CANCEL_KEY), ("worker", REST_KEY)],
)
async def test_the_gateways_key_is_its_own_and_its_only_one(
    programs: Programs, broker: Broker, user: str, key: str
) -> None:
    async with await aio_pika.connect(broker.url_of(user)) as connection:
        channel = await connection.channel(on_return_raises=True)
        with pytest.raises(ChannelAccessRefused):
            await send(channel, NAMES.commands, key)


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


async def test_a_publisher_can_see_how_long_a_queue_is(publisher: AbstractChannel) -> None:
    queue = await publisher.declare_queue(NAMES.dead, passive=True)

    assert queue.declaration_result.message_count is not None


async def test_what_operators_are_told_to_ask_the_broker_is_understood(
    system: System, programs: Programs, broker: Broker
) -> None:
    # Not the user of the other tests: it is locked out.
    broker.add_users({"somebody": permissions()["publisher"]})
    for program, *words in broker_commands():
        assert program == "rabbitmqctl"
        arguments = ["somebody" if word == "publisher" else word for word in words]
        if arguments[0] == "delete_queue":
            await system.channel.declare_queue(arguments[1], durable=True)
        broker.ctl(*arguments)


async def test_a_bound_on_direct_commands_refuses_publishers_and_not_the_gateway(
    system: System, broker: Broker
) -> None:
    names = Topology("bounded.")
    await names.declare(system.channel)
    bound = next(words for words in broker_commands() if "set_policy" in words)
    pattern, length = bound.index(r"^runs\.cancel$"), bound.index('{"max-length": 100000}')
    bound[pattern], bound[length] = r"^bounded\.runs\.cancel$", '{"max-length": 10}'
    broker.ctl(*bound[1:])

    with pytest.raises(DeliveryError):
        for _ in range(1000):
            await send(system.channel, names.commands, CANCEL_KEY)
    for _ in range(20):
        await send(system.channel, names.commands, REST_KEY)

    assert await system.depth(names.rest) == 20
    await delete_names(system.channel, names)
    broker.ctl("clear_policy", "run-cancel-bound")


NARROW: Final = Topology("narrow.")


@pytest.mark.parametrize("user", ["gateway", "worker"])
async def test_none_of_it_can_be_left_out(system: System, broker: Broker, user: str) -> None:
    variants = narrower(user, NARROW)
    broker.add_users({f"{user} {variant}": it for variant, it in variants.items()}, NARROW)
    enough = []

    for variant in variants:
        if user == "gateway":
            await NARROW.declare(system.channel)
        async with await aio_pika.connect(broker.url_of(f"{user} {variant}")) as connection:
            with suppress(ChannelAccessRefused):
                await WORK[user](connection, NARROW)
                enough.append(variant)
        await delete_names(system.channel, NARROW)

    assert enough == ["whole"]
