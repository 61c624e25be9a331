"""Clients that take their time get some of it, and take none of the others'."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from operator import not_
from pathlib import Path
from time import monotonic

import pytest
from yarl import URL

from tests.support.http.api import Api
from tools.support.program import Program
from tools.support.system import System
from tools.support.waiting import eventually

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def api(system: System) -> Api:
    return await _gateway(system, head_timeout=1, body_timeout=1, idle_timeout=30)


async def _gateway(system: System, **limits: float) -> Api:
    await system.add_run(1)
    url = await system.gateway(**limits)
    return Api(url, system.http, await system.token())


@pytest.fixture
async def open_streams() -> AsyncIterator[list[Streams]]:
    streams: list[Streams] = []
    yield streams
    for _, writer in streams:
        writer.transport.abort()


async def _connect(api: Api, streams: list[Streams]) -> Streams:
    url = URL(api.url)
    streams.append(await asyncio.open_connection(url.host, url.port))
    return streams[-1]


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(OSError):
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)  # the slowness under test


async def _ends(reader: asyncio.StreamReader, deadline: float) -> tuple[bytes, float]:
    start = monotonic()
    async with asyncio.timeout(deadline):
        with suppress(ConnectionError):
            return await reader.read(), monotonic() - start
    return b"", monotonic() - start


async def test_a_head_that_arrives_byte_by_byte_is_cut_off(
    api: Api, open_streams: list[Streams]
) -> None:
    reader, writer = await _connect(api, open_streams)
    dripping = asyncio.create_task(_drip(writer, b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 60))

    _, took = await _ends(reader, 10)

    assert 0.8 < took < 3
    dripping.cancel()


async def test_a_second_head_on_the_same_connection_has_no_more_time(
    api: Api, open_streams: list[Streams]
) -> None:
    reader, writer = await _connect(api, open_streams)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"}\n")).startswith(b"HTTP/1.1 200")
    dripping = asyncio.create_task(_drip(writer, b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 60))

    _, took = await _ends(reader, 10)

    assert 0.8 < took < 5  # less than an idle connection has
    dripping.cancel()


async def test_a_body_that_arrives_byte_by_byte_is_408(
    api: Api, open_streams: list[Streams]
) -> None:
    reader, writer = await _connect(api, open_streams)
    head = (
        "POST /api/v1/runs/1/cancel HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {api.token}",
        "Content-Length: 1000",
    )
    writer.write("\r\n".join((*head, "", "")).encode())
    dripping = asyncio.create_task(_drip(writer, b" " * 100))

    answer, took = await _ends(reader, 10)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"validation_error"' in answer
    assert took < 1 + 2 + 2  # then the rest of the body is let in for a while
    dripping.cancel()


DOCUMENT = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_clients_that_do_not_read_give_their_places_back(system: System) -> None:
    """Each asks for a little more than the one before, up to more than the kernel takes."""
    limits = {"response_timeout": 1, "idle_timeout": 2}
    gateway = await system.program(
        *("gateway", "serve", "--port", "0"),
        **{f"CANCEL_{name.upper()}": str(value) for name, value in limits.items()},
    )
    url = URL((await gateway.event("gateway_ready"))["url"])
    clients = [socket.socket() for _ in range(60)]
    for number, client in enumerate(clients):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (url.host, url.port))
        client.send(DOCUMENT * (40 + 3 * number))

    await gateway.event("response_not_taken")
    await eventually(lambda: _places(gateway, url), not_)
    for client in clients:
        client.close()


def _places(program: Program, url: URL) -> int:
    """The connections of clients that the gateway holds; it has others, to its services."""
    held = {_target(entry) for entry in Path(f"/proc/{program.process.pid}/fd").iterdir()}
    lines = Path(f"/proc/{program.process.pid}/net/tcp").read_text().splitlines()[1:]
    rows = [
        line.split() for line in lines
    ]  # proc(5): 1 is the local address, 3 the state, 0A for "listens"
    return sum(
        row[1].endswith(f":{url.port:04X}") and row[3] != "0A" and f"socket:[{row[9]}]" in held
        for row in rows
    )


def _target(entry: Path) -> str:
    try:
        return entry.readlink().name
    except FileNotFoundError:  # closed meanwhile
        return ""


async def test_an_idle_connection_is_closed(system: System, open_streams: list[Streams]) -> None:
    api = await _gateway(system, idle_timeout=2)
    reader, writer = await _connect(api, open_streams)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"}\n")

    _, took = await _ends(reader, 10)

    assert 1.5 < took < 6


async def test_a_body_that_comes_after_its_answer_does_not_cost_the_connection(
    system: System, open_streams: list[Streams]
) -> None:
    api = await _gateway(system, head_timeout=0.5)
    reader, writer = await _connect(api, open_streams)
    head = b"POST /api/v1/runs/1/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    writer.write(head)
    assert (await reader.readuntil(b"}}\n")).startswith(b"HTTP/1.1 401")
    writer.write(b"{}")

    with pytest.raises(TimeoutError):
        await _ends(reader, 1.5)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"}\n")).startswith(b"HTTP/1.1 200")


async def test_a_head_without_end_is_refused(api: Api, open_streams: list[Streams]) -> None:
    reader, writer = await _connect(api, open_streams)
    writer.write(b"GET /healthz HTTP/1.1\r\n")
    with suppress(OSError):
        for number in range(100):
            writer.write(b"X-Header-%d: %s\r\n" % (number, b"a" * 4000))
            await writer.drain()
            await asyncio.sleep(0)

    answer, took = await _ends(reader, 5)

    assert answer.startswith(b"HTTP/1.1 431")
    assert took < 0.9  # by its length, and not by the time it took


async def test_100_slow_clients_keep_no_other_waiting(
    system: System, open_streams: list[Streams]
) -> None:
    api = await _gateway(system, head_timeout=60)
    for _ in range(100):
        _, writer = await _connect(api, open_streams)
        writer.write(b"POST /api/v1/runs/1/cancel HTTP/1.1\r\nHost:")

    start = monotonic()
    for _ in range(10):
        assert (await api.cancel(1)).status == 202
    assert monotonic() - start < 2

    assert not any(reader.at_eof() for reader, _ in open_streams)


async def test_connections_beyond_the_limit_are_told_so_and_later_ones_get_in(
    system: System, open_streams: list[Streams]
) -> None:
    api = await _gateway(system, max_connections=20, max_connections_per_address=20)
    for _ in range(20):
        _, writer = await _connect(api, open_streams)
        writer.write(
            b"GET /api/v1/runs/1?wait=30 HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer %b\r\n\r\n" % api.token.encode()
        )
    reader, writer = await _connect(api, open_streams)
    writer.write(b"GET /api/v1/docs HTTP/1.1\r\nHost: x\r\n\r\n")

    answer, took = await _ends(reader, 5)

    assert answer.startswith(b"HTTP/1.1 503")
    assert b"\r\nRetry-After: " in answer
    assert b"\r\nX-Request-Id: " in answer
    assert b'"code":"unavailable"' in answer
    assert took < 3
    open_streams[0][1].transport.abort()
    end = monotonic() + 10
    while (await api.cancel(1)).status != 202:
        assert monotonic() < end


async def test_an_idle_connection_makes_place_for_a_new_one(
    system: System, open_streams: list[Streams]
) -> None:
    api = await _gateway(system, max_connections=5)
    for _ in range(5):
        reader, writer = await _connect(api, open_streams)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"}\n")

    assert (await api.cancel(1)).status == 202

    assert (await _ends(open_streams[0][0], 5))[0] == b""
