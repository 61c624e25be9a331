"""Requests that are too large, too slow, too many, or not plainly HTTP/1.1."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.docker.proxied import Proxied, proxied
from tests.support.docker.scripted_engine import EngineSide, scripted
from tools.support.waiting import eventually
from worker.docker.proxy.limits import Limits


async def _echo(engine: EngineSide) -> None:
    """Answers with the request line and the fields it got."""
    while head := await engine.head():
        await engine.answer(head)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /info HTTP/1.0\r\nHost: d\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /info HTTP/1.1\r\n\r\n", 400),
        (b"GET http://docker/info HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        (b"CONNECT docker:80 HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: d\r\n\r\n", 400),
        (
            b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n"
            b"Content-Length: 2\r\n\r\n",
            400,
        ),
        (
            b"POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (b"GET /info HTTP/1.1\r\nHost: d\r\nX: " + b"x" * 1_100_000 + b"\r\n\r\n", 431),
    ],
)  # fmt: skip
async def test_what_could_be_read_in_two_ways_is_refused(
    tmp_path: Path, sent: bytes, status: int
) -> None:
    async with scripted(tmp_path, _echo) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.send(sent)
        client.writer.write_eof()
        answered = await client.answer()
        assert answered.status == status
        assert json.loads(answered.body)["message"].startswith("run-cancel: ")
        assert await client.reader.read() == b""
        assert engine.connections == 0


async def test_a_head_of_900_kb_passes(job_of_echo: Proxied) -> None:
    client = await job_of_echo.connect()
    field = "X-Registry-Auth: " + "x" * 900_000
    await client.request("POST /images/create?fromImage=it", b"", field)
    assert field.encode() in (await client.answer()).body


async def test_a_body_that_is_read_whole_has_a_limit(job_of_echo: Proxied) -> None:
    body = b'{"Image":"' + b"x" * 4 * 1024 * 1024 + b'"}'
    answered = await job_of_echo.ask("POST", "/containers/create", body)
    assert answered.status == 413


async def test_a_head_that_does_not_arrive_ends_the_connection(tmp_path: Path) -> None:
    limits = Limits(head=0.2)
    async with scripted(tmp_path, _echo) as engine, proxied(tmp_path, engine.path, limits) as job:
        client = await job.connect()
        await client.send(b"GET /info HTTP/1.1\r\nHost:")
        assert await asyncio.wait_for(client.reader.read(), 5) == b""


async def test_a_body_that_is_read_whole_must_arrive_in_time(tmp_path: Path) -> None:
    limits = Limits(body=0.2)
    async with scripted(tmp_path, _echo) as engine, proxied(tmp_path, engine.path, limits) as job:
        client = await job.connect()
        await client.request("POST /containers/create", b"{", length=10)
        assert (await client.answer()).status == 408


async def test_clients_beyond_the_limit_displace_idle_ones_or_are_told(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        await engine.reader.read()

    limits = Limits(connections=4)  # half of them for one user
    async with (
        scripted(tmp_path, engine_side) as engine,
        proxied(tmp_path, engine.path, limits) as job,
    ):
        idle = await job.connect()
        busy = [await job.connect() for _ in range(2)]
        assert await idle.reader.read() == b""
        for client in busy:
            await client.request("POST /containers/abc/wait", b"")
        await eventually(lambda: engine.connections == 2)
        answered = await job.ask("GET", "/info")
        assert answered.status == 503
        assert b"too many connections" in answered.body


@pytest.fixture
async def job_of_echo(tmp_path: Path) -> AsyncIterator[Proxied]:
    async with scripted(tmp_path, _echo) as engine, proxied(tmp_path, engine.path) as job:
        yield job
