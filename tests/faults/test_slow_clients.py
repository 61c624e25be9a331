"""Clients that take their time get some of it, and take nobody else's."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic

import pytest
from yarl import URL

from tests.support.api import Api
from tests.support.system import System

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def api(system: System) -> Api:
    await system.add_run(1)
    url = await system.gateway(
        head_timeout=1, body_timeout=1, response_timeout=1, idle_timeout=2, max_connections=150
    )
    return Api(url, system.http, await system.token())


@pytest.fixture
async def open_streams(api: Api) -> AsyncIterator[list[Streams]]:
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
        with suppress(ConnectionResetError):
            return await reader.read(), monotonic() - start
    return b"", monotonic() - start


async def test_a_head_that_arrives_byte_by_byte_is_cut_off(
    api: Api, open_streams: list[Streams]
) -> None:
    reader, writer = await _connect(api, open_streams)
    dripping = asyncio.create_task(_drip(writer, b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 60))

    _, took = await _ends(reader, 5)

    assert 0.8 < took < 3
    dripping.cancel()


async def test_a_second_head_on_the_same_connection_has_no_more_time(
    api: Api, open_streams: list[Streams]
) -> None:
    reader, writer = await _connect(api, open_streams)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    dripping = asyncio.create_task(_drip(writer, b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 60))

    _, took = await _ends(reader, 5)

    assert 0.8 < took < 1.9  # less than an idle connection has
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


async def test_a_client_that_does_not_read_is_cut_off(
    api: Api, open_streams: list[Streams]
) -> None:
    url = URL(api.url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (url.host, url.port))
    asset = b"GET /api/v1/docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
    client.sendall(asset * 20)  # more than the kernel takes off the gateway's hands

    end = monotonic() + 15
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while monotonic() < end:
            client.send(b"GET")
            await asyncio.sleep(0.05)
    client.close()


async def test_an_idle_connection_is_closed(api: Api, open_streams: list[Streams]) -> None:
    reader, writer = await _connect(api, open_streams)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"}")

    _, took = await _ends(reader, 10)

    assert 1.5 < took < 5


async def test_100_slow_clients_keep_nobody_waiting(api: Api, open_streams: list[Streams]) -> None:
    for _ in range(100):
        _, writer = await _connect(api, open_streams)
        writer.write(b"POST /api/v1/runs/1/cancel HTTP/1.1\r\nHost:")

    start = monotonic()
    for _ in range(10):
        assert (await api.cancel(1)).status == 202
    assert monotonic() - start < 2

    for reader, _ in open_streams:
        await _ends(reader, 5)


async def test_connections_beyond_the_limit_are_told_so_and_later_ones_get_in(
    api: Api, open_streams: list[Streams]
) -> None:
    for _ in range(150):
        await _connect(api, open_streams)
    reader, writer = await _connect(api, open_streams)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

    answer, took = await _ends(reader, 5)

    assert answer.startswith(b"HTTP/1.1 503")
    assert b"\r\nRetry-After: " in answer
    assert b'"code":"unavailable"' in answer
    assert took < 1
    for reader, _ in open_streams[:-1]:
        await _ends(reader, 5)
    assert (await api.cancel(1)).status == 202
