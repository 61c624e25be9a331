"""Requests and responses pass in both directions, in our own framing, and nothing else does."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.docker.proxied import proxied
from tests.support.docker.scripted_engine import EngineSide, scripted

UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")


async def _echo(engine: EngineSide) -> None:
    """Answers with the request line and the fields it got."""
    while head := await engine.head():
        await engine.answer(head)


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    async with scripted(tmp_path, _echo) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: d\r\n\r\n" % n for n in range(50)))
        for number in range(50):
            assert (await client.answer()).body.startswith(b"GET /%d HTTP/1.1" % number)
        assert engine.connections == 1


async def test_pipelined_requests_before_a_half_close_are_answered(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        first = await engine.head()
        with pytest.raises(TimeoutError):  # neither the next request, nor the end
            await asyncio.wait_for(engine.reader.read(1), 0.2)
        await engine.answer(first)
        await _echo(engine)

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.send(b"GET /1 HTTP/1.1\r\nHost: d\r\n\r\nGET /2 HTTP/1.1\r\nHost: d\r\n\r\n")
        client.writer.write_eof()
        for number in (1, 2):
            assert (await client.answer()).body.startswith(b"GET /%d HTTP/1.1" % number)
        assert await client.reader.read() == b""


async def test_fields_of_one_connection_are_not_passed_on(tmp_path: Path) -> None:
    async with scripted(tmp_path, _echo) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request(
            "GET /info", None, "Connection: keep-alive, X-Mine, Upgrade, host", "Keep-Alive: 5",
            "X-Mine: 1", "Upgrade: tcp", "TE: trailers", "X-Other: 2",
        )  # fmt: skip
        assert (await client.answer()).body == (
            b"GET /info HTTP/1.1\r\nHost: docker\r\nX-Other: 2\r\n\r\n"
        )


@pytest.mark.parametrize("together", [True, False])
async def test_what_follows_a_refused_upgrade_is_a_request(tmp_path: Path, together: bool) -> None:
    heads = []

    async def engine_side(engine: EngineSide) -> None:
        while head := await engine.head():
            heads.append(head)
            await engine.reader.readexactly(2)
            await engine.answer(b"not now")

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        smuggled = b'{"HostConfig":{"Privileged":true}}'
        first = client.request("POST /exec/abc/start", b"{}", *UPGRADE)
        second = client.request(
            "POST /containers/create", smuggled, "Content-Type: application/json"
        )
        await first
        if together:
            await second
        answered = await client.answer()
        assert (answered.status, answered.body) == (200, b"not now")
        if not together:
            await second
        assert (await client.answer()).status == 403
    (head,) = heads
    assert b"Upgrade: tcp" in head


async def test_a_switch_that_nobody_asked_for_is_not_passed_on(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        await engine.say(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw")

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request("GET /info", None, *UPGRADE)
        assert (await client.answer()).status == 502


async def test_bytes_around_a_switch_are_passed_on_in_order(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        # What was sent early comes only behind the switch.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.reader.read(1), 0.2)
        await engine.say(
            b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nfirst"
        )
        await engine.say(b"<" + await engine.reader.read() + b">")

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request("POST /containers/abc/attach?stream=1", b"", *UPGRADE)
        await client.send(b"early")
        client.writer.write_eof()
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert b"Upgrade: tcp\r\n" in head
        assert await client.reader.read() == b"first<early>"


async def test_the_response_can_come_while_the_body_is_sent(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        await engine.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (line := await engine.reader.readline()) != b"0\r\n":
            data = await engine.reader.readexactly(int(line, 16) + 2)
            await engine.say(line + data)
        await engine.say(b"0\r\n\r\n")

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request("POST /images/load", None, "Transfer-Encoding: chunked")
        assert b"200 OK" in await client.head()
        for _ in range(3):
            await client.send(b"5\r\nhello\r\n")
            assert await client.reader.readexactly(10) == b"5\r\nhello\r\n"
        await client.send(b"0\r\n\r\n")
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"


async def test_trailers_are_kept(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        sent = await engine.reader.readuntil(b"\r\n\r\n")
        assert sent == b"0\r\nX-Sum: sent\r\n\r\n"
        await engine.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        await engine.say(b"0\r\nX-Sum: back\r\n\r\n")

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request("POST /images/load", None, "Transfer-Encoding: chunked")
        await client.send(b"0\r\nX-Sum: sent\r\n\r\n")
        assert b"Trailer: X-Sum\r\n" in await client.head()
        assert await client.head() == b"0\r\nX-Sum: back\r\n\r\n"


async def test_expect_is_answered_by_the_engine_where_the_body_is_passed_on(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        assert b"Expect: 100-continue" in await engine.head()
        await engine.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        await engine.answer(await engine.reader.readexactly(4))

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request("POST /images/load", b"", "Expect: 100-continue", length=4)
        assert (await client.head()).startswith(b"HTTP/1.1 100 ")
        await client.send(b"body")
        assert (await client.answer()).body == b"body"


async def test_expect_is_answered_by_us_where_the_body_is_read_whole(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        head = await engine.head()
        assert b"Expect" not in head
        (length,) = [
            int(it.split()[1]) for it in head.splitlines() if it[:15] == b"Content-Length:"
        ]
        await engine.answer(await engine.reader.readexactly(length), "201 Created")

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        body = b'{"Image":"it"}'
        await client.request(
            "POST /v1.41/containers/create", b"", "Expect: 100-continue", length=len(body)
        )
        assert (await client.head()).startswith(b"HTTP/1.1 100 ")
        await client.send(body)
        answered = await client.answer()
        assert answered.status == 201
        assert json.loads(answered.body)["Image"] == "it"
