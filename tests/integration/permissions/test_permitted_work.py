"""The documented broker permissions are enough for the work of each user."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Final
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import DeliveryError
from aiormq.exceptions import ChannelPreconditionFailed

from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY, REST_KEY
from shared.amqp.topology import Topology
from shared.commands import CANCEL_TYPE, GATEWAY_APP_ID
from shared.events import EventType
from shared.registrations import QUEUED_TYPE
from tests.support.broker.asker import DIRECT
from tests.support.broker.broker_users import OWN_QUEUE, Broker, send
from tests.support.broker.event_listener import event_in
from tests.support.broker.permitted import Programs, start_programs, system_on
from tests.support.broker.registrations import registered, registration
from tests.support.http.api import Api
from tests.support.http.event_stream import streaming
from tests.support.repository.documents import broker_commands, permissions
from tools.services import Services
from tools.support.broker_names import delete_names
from tools.support.program import DEADLINE
from tools.support.rows import RUNNING, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES: Final = Topology()
ELSEWHERE: Final = str(RUNNING["host"])

run_ids = count(1)


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


async def test_the_gateway_streams_what_the_worker_publishes(
    system: System, programs: Programs
) -> None:
    run_id = next(run_ids)
    async with streaming(programs.api, f"?run_id={run_id}") as stream:
        await system.add_run(run_id)

        assert (await stream.event()).event == EventType.RUN_REGISTERED.cloud_type


async def test_a_gateway_without_permission_for_events_still_cancels(
    system: System, programs: Programs, broker: Broker
) -> None:
    older = permissions()["gateway"]._replace(configure="^$", read="^$")
    broker.add_users({"older gateway": older})
    gateway = await system.program(
        "gateway", "serve", "--port", "0", AMQP_URL=broker.url_of("older gateway")
    )
    url = str((await gateway.event("gateway_ready"))["url"])
    refused = await gateway.event("events_not_subscribed")
    run_id = next(run_ids)
    await system.add_run(run_id)

    assert (await Api(url, system.http, programs.api.token).cancel(run_id)).status == 202

    assert "ACCESS_REFUSED" in refused["error"]
    await system.status_becomes(run_id, "canceled")
    assert [event["event"] for event in gateway.events].count("channel_closed_by_broker") == 1


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


@pytest.mark.usefixtures("programs")
async def test_an_operator_cancels_with_a_publishers_permissions(
    system: System, broker: Broker
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    code, out, err = await system.cli(
        *("worker", "runs", "cancel", str(run_id), "--wait", "30"),
        env={"AMQP_URL": broker.url_of("publisher")},
    )

    assert (code, err) == (0, "")
    assert out == f"run {run_id}: canceled: it never started, proof never_started\n"
    (row,) = await system.cancellations(run_id)
    assert (row["via"], row["publisher"]) == ("direct", "publisher")


async def test_what_a_publisher_publishes_is_carried_out_and_recorded_as_its(
    system: System, publisher: AbstractChannel
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    row = await system.outcome_of(await _publish(publisher, run_id, user_id="publisher"))

    assert row["outcome"] == "canceled"
    recorded = (row["via"], row["publisher"], row["requested_by"])
    assert recorded == ("direct", "publisher", "merge-queue")


async def test_what_a_platform_publishes_is_registered(
    system: System, programs: Programs, broker: Broker
) -> None:
    run_id = next(run_ids)
    message = aio_pika.Message(registration(run_id), type=QUEUED_TYPE, user_id="platform")
    async with await aio_pika.connect(broker.url_of("platform")) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(NAMES.commands, ensure=False)
        await exchange.publish(message, QUEUED_KEY, mandatory=True)

    assert (await registered(system, run_id))["status"] == "queued"


async def test_a_publisher_may_wait_for_the_outcome(
    system: System, programs: Programs, publisher: AbstractChannel
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    replies: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    await (await publisher.get_queue(DIRECT, ensure=False)).consume(replies.put, no_ack=True)

    command_id = await _publish(publisher, run_id, user_id="publisher", reply_to=DIRECT)

    async with asyncio.timeout(DEADLINE):
        event = event_in(await replies.get())
    assert (event["data"]["command_id"], event["data"]["publisher"]) == (command_id, "publisher")


async def test_a_consumer_hears_what_happens(
    system: System, programs: Programs, broker: Broker
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    async with await aio_pika.connect(broker.url_of("consumer")) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(OWN_QUEUE, durable=True)
        await queue.bind(NAMES.events, "run.finished")
        await programs.api.cancel(run_id)

        async with asyncio.timeout(DEADLINE), queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                if event_in(message)["subject"] == str(run_id):
                    break
        await channel.queue_delete(OWN_QUEUE)


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
