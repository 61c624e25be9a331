"""Event streams whose client, broker or gateway fails: nothing is missing without being said."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import not_
from time import monotonic

import aio_pika
import pytest
from aio_pika.abc import AbstractExchange
from yarl import URL

from shared.amqp.topology import MOST_EVENTS
from shared.events import EventType
from tests.support.http.api import Api
from tests.support.http.event_stream import EVENTS, EventStream, streaming, tell
from tests.support.telemetry.exposition import scrape
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

NAME = "cancel-gateway receiving events"


@pytest.fixture
async def broker(system: System) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(system.amqp_url) as proxy:
        yield proxy


async def _gateway(system: System, **env: str) -> tuple[Program, Api]:
    program = await system.program("gateway", "serve", "--port", "0", **env)
    ready = await program.event("gateway_ready")
    return program, Api(ready["url"], system.http, await system.token())


async def _subscribed(system: System, **env: str) -> tuple[Program, Api]:
    program, api = await _gateway(system, **env)
    await program.event("events_subscribed")
    return program, api


async def _value(api: Api, name: str) -> float | None:
    return (await scrape(api.http, api.url)).value(name)


@asynccontextmanager
async def _deaf_client(api: Api) -> AsyncIterator[socket.socket]:
    """A client that asks for the stream and reads nothing."""
    url = URL(api.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (url.host, url.port))
        head = f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token}\r\n\r\n"
        await loop.sock_sendall(client, head.encode())
        yield client


async def test_a_client_that_does_not_keep_up_is_dropped_and_the_others_get_all(
    system: System,
) -> None:
    program, api = await _subscribed(system)
    padding = "x" * 50_000
    sent: list[str] = []
    async with streaming(api) as stream, _deaf_client(api):
        await eventually(lambda: _value(api, "cancel_event_streams"), lambda n: n == 2)
        while not [event for event in program.events if event["event"] == "event_stream_dropped"]:
            sent.append(f"e{len(sent)}")
            await tell(system, sent[-1], data={"error": padding})
            assert await stream.until(sent[-1]) == sent[-1:]
            assert len(sent) < 400  # 20 MB: more than the kernel and the gateway may hold
        await eventually(lambda: _value(api, "cancel_event_streams"), lambda n: n == 1)

    assert await _value(api, "cancel_event_streams_dropped_total") == 1


async def test_a_client_that_leaves_a_little_unread_for_long_is_dropped_too(
    system: System,
) -> None:
    program, api = await _subscribed(system, CANCEL_RESPONSE_TIMEOUT="0.2")
    async with _deaf_client(api):
        await eventually(lambda: _value(api, "cancel_event_streams"), lambda n: n == 1)
        for number in range(400):
            await tell(system, f"e{number}", data={"error": "x" * 50_000})
            if any(event["event"] == "event_stream_dropped" for event in program.events):
                break
            await asyncio.sleep(0.02)  # so slowly that its queue is not full before the timeout
        await program.event("event_stream_dropped")

    await eventually(lambda: _value(api, "cancel_event_streams"), not_)
    assert await _value(api, "cancel_event_streams_dropped_total") == 1


async def test_a_stream_outlives_the_timeouts_of_other_answers(system: System) -> None:
    _, api = await _subscribed(
        system,
        **{"CANCEL_RESPONSE_TIMEOUT": "0.2", "CANCEL_IDLE_TIMEOUT": "0.2"},
        **{"CANCEL_HEAD_TIMEOUT": "0.2"},
    )
    async with streaming(api) as stream:
        await tell(system, "e1")
        assert await stream.until("e1") == ["e1"]
        await asyncio.sleep(0.8)  # the idleness under test
        await tell(system, "e2")

        assert await stream.until("e2") == ["e2"]


async def test_an_open_stream_is_told_of_the_gap_when_the_broker_is_back(
    system: System, broker: TcpProxy
) -> None:
    program, api = await _subscribed(system, AMQP_URL=broker.proxied)
    async with streaming(api) as stream:
        await tell(system, "e1")
        await stream.until("e1")
        broker.refuse()
        await broker.cut()
        await program.event("rabbitmq_disconnected", connection=NAME)
        await tell(system, "lost")
        broker.accept()
        await program.event("events_subscribed", count=2)
        await tell(system, "e2")

        assert await stream.until("e2") == [None, "e2"]

    async with streaming(api, last_id="e1") as stream:
        assert await stream.until("e2") == ["e1", None, "e2"]


async def test_events_that_the_broker_dropped_meanwhile_are_a_gap(system: System) -> None:
    program, api = await _subscribed(system)
    number = MOST_EVENTS + 3000
    # Few, so that this client keeps up with them.
    query = f"?type={EventType.CANCEL_SETTLED.cloud_type}"
    async with (
        streaming(api, query) as stream,
        await aio_pika.connect(system.amqp_url) as connection,
    ):
        await stream.next()
        program.freeze()
        channel = await connection.channel(publisher_confirms=False)
        exchange = await channel.get_exchange(system.topology.events, ensure=False)
        await _flood(exchange, number)
        await connection.close()  # the broker has taken all of it
        program.thaw()
        await program.event("events_dropped_by_broker")
        await tell(system, "last", kind=EventType.CANCEL_SETTLED.cloud_type)

        assert None in await stream.until("last")

    assert (await program.event("events_dropped_by_broker"))["waiting"] <= MOST_EVENTS


async def _flood(exchange: AbstractExchange, number: int) -> None:
    for each in range(1, number + 1):
        body = b'{"id": "f%d", "type": "ci.run.finished.v1", "subject": "1"}' % each
        await exchange.publish(aio_pika.Message(body), "run.finished", mandatory=False)


async def test_a_gateway_that_stops_ends_its_streams_at_once(system: System) -> None:
    program, api = await _subscribed(system)
    async with streaming(api) as stream, streaming(api, "?run_id=5") as other:
        await stream.next()
        started = monotonic()
        assert await program.stop(signal.SIGTERM) == 0
        took = monotonic() - started

        assert await _rest(stream) == await _rest(other) == []

    assert took < 5  # of 10 s for requests in flight
    assert not [event for event in program.events if event["level"] == "error"]


async def _rest(stream: EventStream) -> list[str | None]:
    found = []
    while (message := await stream.next()) is not None:
        if message.event is not None:
            found.append(message.id)
    return found


async def test_streams_take_half_of_the_connections_at_most(system: System) -> None:
    _, api = await _subscribed(system, CANCEL_MAX_CONNECTIONS="4")
    await system.add_run(1)
    async with streaming(api), streaming(api):
        answer = await api.ask("GET", EVENTS)

        assert answer.error == (503, "unavailable")
        assert "Retry-After" in answer.headers
        assert (await api.cancel(1)).status == 202

    await eventually(lambda: _value(api, "cancel_event_streams"), not_)
    async with streaming(api):
        pass


async def test_without_the_exchange_the_gateway_serves_and_subscribes_later(
    system: System,
) -> None:
    await system.channel.exchange_delete(system.topology.events)
    await system.add_run(1)
    program, api = await _gateway(system)
    missing = await program.event("events_not_subscribed")
    assert system.topology.events in missing["error"]

    async with streaming(api) as stream:
        assert (await api.cancel(1)).status == 202
        assert (await api.ask("GET", "/readyz")).status == 200
        await system.topology.declare_worker(system.channel)
        await program.event("events_subscribed")
        await tell(system, "e1")

        assert await stream.until("e1") == [None, "e1"]

    names = [event["event"] for event in program.events]
    assert names.count("events_not_subscribed") == 1
