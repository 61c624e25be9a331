"""SIGTERM: who was let in is answered, no other is, and it does not take long."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from operator import not_
from time import monotonic

import aiohttp
from yarl import URL

from shared.postgres import sql
from tests.support.http.api import Api
from tests.support.postgres.sessions import until_begun
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.rows import RUNNING, insert_run
from tools.support.system import System
from tools.support.waiting import eventually


async def _gateway(system: System, **env: str) -> tuple[Program, Api]:
    await insert_run(system.database, 1, RUNNING)
    program = await system.program("gateway", "serve", "--port", "0", **env)
    ready = await program.event("gateway_ready")
    return program, Api(ready["url"], system.http, await system.token())


ADMITTED = "SELECT count(*) FROM rate_windows"


@asynccontextmanager
async def _in_flight(
    system: System, broker: TcpProxy, api: Api
) -> "AsyncIterator[asyncio.Task[int]]":
    """A request whose command is in the queue, and whose confirm is held back."""
    broker.stall_answers()
    asked = asyncio.create_task(_status(api))
    await eventually(lambda: system.depth(system.topology.rest))
    try:
        yield asked
    finally:
        asked.cancel()


async def _status(api: Api) -> int:
    return (await api.cancel(1)).status


async def _gets_in(api: Api) -> bool:
    try:
        async with aiohttp.ClientSession() as other, other.get(URL(api.url) / "healthz"):
            return True
    except aiohttp.ClientConnectorError:
        return False


async def test_a_request_in_flight_is_answered_and_no_other_is_let_in(
    system: System, broker: TcpProxy
) -> None:
    program, api = await _gateway(system, AMQP_URL=broker.proxied)
    async with _in_flight(system, broker, api) as asked:
        program.process.send_signal(signal.SIGTERM)
        await program.event("gateway_stopping")
        # Logged before the socket is closed, so a first attempt may still get in.
        await eventually(lambda: _gets_in(api), not_)
        held_until = monotonic() + 0.5
        while monotonic() < held_until:
            assert not await _gets_in(api)
            assert not asked.done()
            await asyncio.sleep(0.01)  # the pace of the attempts
        broker.resume()

        assert await asked == 202
        assert await program.wait() == 0


async def test_a_request_that_does_not_end_does_not_hold_it_for_ever(
    system: System, broker: TcpProxy
) -> None:
    program, api = await _gateway(
        system,
        AMQP_URL=broker.proxied,
        CANCEL_CONFIRM_TIMEOUT="60",
        CANCEL_GATEWAY_SHUTDOWN_TIMEOUT="2",
    )
    async with _in_flight(system, broker, api) as asked:
        start = monotonic()

        assert await program.stop() == 0
        assert monotonic() - start < 2 + 5  # and what closing the connections takes
        with suppress(aiohttp.ClientError):
            assert await asked == 503


async def test_who_waits_for_a_run_is_answered_at_once(system: System) -> None:
    program, api = await _gateway(system)
    asked = asyncio.create_task(api.ask("GET", "/api/v1/runs/1?wait=30"))
    # Another request on another connection, answered: by then the first is waiting.
    await eventually(lambda: system.database.fetchval(ADMITTED))
    await api.ask("GET", "/api/v1/runs/1")
    start = monotonic()

    assert await program.stop() == 0

    answer = await asked
    assert (answer.status, answer.body["status"]) == (200, "running")
    assert monotonic() - start < 3


async def test_while_it_drains_it_serves_and_is_not_ready(system: System) -> None:
    program, api = await _gateway(system, CANCEL_GATEWAY_DRAIN_DURATION="60")
    waiting = asyncio.create_task(api.ask("GET", "/api/v1/runs/1?wait=30"))
    await eventually(lambda: system.database.fetchval(ADMITTED))
    assert (await api.ask("GET", "/readyz")).status == 200

    program.process.send_signal(signal.SIGTERM)
    await program.event("gateway_draining", seconds=60)

    unready = await api.ask("GET", "/readyz")
    assert (unready.status, unready.body["status"]) == (503, "stopping")
    assert (await api.ask("GET", "/healthz")).status == 200
    answer = await api.cancel(1)
    assert answer.status == 202
    assert answer.headers["Connection"] == "close"
    assert not waiting.done()

    program.process.send_signal(signal.SIGTERM)  # again: at once
    assert await program.wait() == 0
    assert (await waiting).status == 200


async def test_idle_and_half_made_requests_do_not_hold_it(system: System) -> None:
    program, api = await _gateway(system)
    url = URL(api.url)
    await api.ask("GET", "/healthz")  # kept alive by the client
    half_made = []
    for head in (b"", b"POST /api/v1/runs/1/cancel HTTP/1.1\r\nHost:"):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(head)
        half_made.append((reader, writer))
    start = monotonic()

    assert await program.stop() == 0

    assert monotonic() - start < 3
    for reader, writer in half_made:
        assert await reader.read() == b""
        writer.close()


async def test_a_body_that_is_still_arriving_gets_the_whole_time(system: System) -> None:
    program, api = await _gateway(system, CANCEL_GATEWAY_SHUTDOWN_TIMEOUT="6")
    sent = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        sent.set()
        await program.event("gateway_stopping")
        await asyncio.sleep(3.5)  # longer than half of the time
        yield b"}"

    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
    asked = asyncio.create_task(api.cancel(1, data=body(), headers=headers))
    await sent.wait()
    await eventually(lambda: system.database.fetchval(ADMITTED))

    assert await program.stop() == 0

    answer = await asked
    assert answer.status == 202
    assert answer.headers["Connection"] == "close"


async def test_a_silent_postgres_does_not_hold_it(system: System, postgres: TcpProxy) -> None:
    program, api = await _gateway(
        system,
        DATABASE_URL=postgres.proxied,
        CANCEL_DATABASE_TIMEOUT="3",  # so that a statement is cut off, and not over by itself
        CANCEL_GATEWAY_SHUTDOWN_TIMEOUT="1",
    )
    waiting = asyncio.create_task(api.ask("GET", "/api/v1/runs/1?wait=20"))
    await until_begun(system.database, sql.requests.LIST_ENDED)
    postgres.stall()
    looks = postgres.bursts
    await eventually(lambda: postgres.bursts > looks)  # and this one it waits for
    start = monotonic()

    assert await program.stop() == 0

    assert monotonic() - start < 1 + 3 + 3 + 5
    with suppress(aiohttp.ClientError):
        assert (await waiting).status == 503
