"""202 only after the broker's confirm; whatever else happens is 503, and passes."""

import asyncio
from time import monotonic

import pytest

from shared.amqp.keys import REST_KEY
from tests.support.http.api import Answer, Api
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually


@pytest.fixture
async def api(system: System) -> Api:
    await system.add_run(1)
    return Api(await system.gateway(confirm_timeout=1), system.http, await system.token())


async def _gateway(system: System, **env: str) -> Api:
    await system.add_run(1)
    program = await system.program(
        "gateway", "serve", "--port", "0", CANCEL_CONFIRM_TIMEOUT="1", **env
    )
    ready = await program.event("gateway_ready")
    return Api(ready["url"], system.http, await system.token())


async def _until_202(api: Api) -> None:
    await eventually(lambda: api.cancel(1), lambda answer: answer.status == 202)


def _is_503(answer: Answer) -> bool:
    assert answer.error == (503, "unavailable")
    assert answer.body["details"] == {}
    assert int(answer.headers["Retry-After"]) >= 1
    return True


async def test_202_means_the_command_is_in_the_queue(system: System, api: Api) -> None:
    for expected in range(1, 11):
        assert (await api.cancel(1)).status == 202
        queue = await system.channel.get_queue(system.topology.rest, ensure=False)
        message = await queue.get(no_ack=True)
        assert message is not None, expected


async def test_a_command_that_no_queue_takes_is_never_accepted(system: System, api: Api) -> None:
    await system.channel.queue_delete(system.topology.rest)

    answers = await asyncio.gather(*(api.cancel(1) for _ in range(10)))

    assert all(map(_is_503, answers))
    await system.topology.declare_worker(system.channel)
    await _until_202(api)


async def test_a_missing_exchange_is_503_until_it_is_there_again(system: System, api: Api) -> None:
    await system.channel.exchange_delete(system.topology.commands)

    # The broker closes the channel; the next one is not opened before there is an exchange.
    assert _is_503(await api.cancel(1))
    assert _is_503(await api.cancel(1))
    await system.topology.declare(system.channel)
    await _until_202(api)


async def test_a_queue_that_is_full_is_503(system: System, api: Api) -> None:
    # The broker answers with a negative confirm.
    queue = system.topology.rest
    await system.channel.queue_delete(queue)
    await system.channel.declare_queue(
        queue,
        durable=True,
        arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
    )
    declared = await system.channel.get_queue(queue, ensure=False)
    await declared.bind(system.topology.commands, REST_KEY)
    await api.cancel(1)

    assert _is_503(await api.cancel(1))
    assert await system.depth(queue) == 1


async def test_a_confirm_that_does_not_come_is_503_in_time_and_a_retry_is_202(
    system: System, broker: TcpProxy
) -> None:
    api = await _gateway(system, AMQP_URL=broker.proxied)
    assert (await api.cancel(1)).status == 202
    broker.stall()
    start = monotonic()

    answers = await asyncio.gather(*(api.cancel(1) for _ in range(5)))

    assert all(map(_is_503, answers))
    assert monotonic() - start < 5
    broker.resume()
    await _until_202(api)


async def test_only_the_confirm_is_lost_and_still_it_is_not_202(
    system: System, broker: TcpProxy
) -> None:
    api = await _gateway(system, AMQP_URL=broker.proxied)
    broker.stall_answers()

    assert _is_503(await api.cancel(1))

    # The outcome was unknown to the gateway, and in truth it was success: a retry is safe.
    queue = await system.channel.get_queue(system.topology.rest, ensure=False)
    assert await queue.get(no_ack=True) is not None


async def test_a_broker_that_went_away_is_503_and_back_again_202(
    system: System, broker: TcpProxy
) -> None:
    api = await _gateway(system, AMQP_URL=broker.proxied)
    broker.refuse()
    await broker.cut()

    assert _is_503(await api.cancel(1))
    broker.accept()
    await _until_202(api)


async def test_postgres_away_is_503_and_back_again_202(system: System, postgres: TcpProxy) -> None:
    api = await _gateway(system, DATABASE_URL=postgres.proxied, CANCEL_DATABASE_TIMEOUT="1")
    postgres.refuse()
    await postgres.cut()

    assert _is_503(await api.cancel(1))
    assert await system.depth(system.topology.rest) == 0
    postgres.accept()
    await _until_202(api)


async def test_a_postgres_that_does_not_answer_is_503_in_time(
    system: System, postgres: TcpProxy
) -> None:
    api = await _gateway(
        system,
        DATABASE_URL=postgres.proxied,
        CANCEL_DATABASE_TIMEOUT="2",
        CANCEL_DATABASE_POOL_SIZE="1",  # the second request waits for the first one's connection
    )
    postgres.stall()
    start = monotonic()

    answers = await asyncio.gather(*(api.cancel(1) for _ in range(2)))

    assert all(map(_is_503, answers))
    assert monotonic() - start < 3.5
    postgres.resume()
    await _until_202(api)
