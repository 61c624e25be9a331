"""What is told and what is left when one side is gone."""

import asyncio
from pathlib import Path

import pytest

from tests.support.docker.proxied import Client, Proxied, proxied
from tests.support.docker.scripted_engine import EngineSide, scripted
from tools.support.waiting import eventually


async def _ok(engine: EngineSide) -> None:
    while await engine.head():
        await engine.answer(b"OK")


async def test_an_engine_that_cannot_be_reached_is_told_with_503(tmp_path: Path) -> None:
    async with proxied(tmp_path, tmp_path / "none.sock") as job:
        answered = await job.ask("GET", "/_ping")
        assert answered.status == 503
        assert answered.body == b'{"message": "run-cancel: the Docker engine does not answer"}\n'


async def test_a_restarted_engine_is_found_again_on_the_same_connection(tmp_path: Path) -> None:
    async with scripted(tmp_path, _ok) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request("GET /_ping")
        assert (await client.answer()).status == 200
        await engine.stop()
        await client.request("GET /_ping")
        assert (await client.answer()).status == 503
        await engine.start()
        await client.request("GET /_ping")
        assert (await client.answer()).status == 200


async def test_an_engine_that_hangs_up_without_an_answer_is_told_with_502(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        assert (await job.ask("GET", "/info")).status == 502


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
async def test_a_response_that_breaks_off_has_no_clean_end(tmp_path: Path, framing: str) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        await engine.say(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhello\r\n".encode())

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request("GET /containers/abc/logs")
        await client.head()
        assert await client.reader.read() == b"5\r\nhello\r\n"


async def test_a_client_that_is_gone_ends_what_the_engine_does_for_it(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        await engine.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await engine.reader.read()
        ended.set()

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request("GET /events")
        await client.head()
        await client.close()
        await asyncio.wait_for(ended.wait(), 1)


async def test_all_output_comes_though_the_engine_has_hung_up_on_the_input(tmp_path: Path) -> None:
    closed = asyncio.Event()

    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        await engine.say(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        await engine.reader.readexactly(2)
        engine.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport
        await engine.say(b"x" * 500_000)
        engine.writer.close()
        await engine.writer.wait_closed()
        closed.set()

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        upgrade = ("Connection: Upgrade", "Upgrade: tcp")
        await client.request("POST /containers/abc/attach", b"", *upgrade)
        await client.head()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport
        client.writer.write(b"y" * 5_000_000)
        await closed.wait()
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # likewise
        assert await client.reader.readexactly(500_000) == b"x" * 500_000


async def test_a_peer_outside_of_every_run_is_refused(tmp_path: Path) -> None:
    async with scripted(tmp_path, _ok) as engine, proxied(tmp_path, engine.path) as job:
        job.run.admits = False
        assert (await job.ask("GET", "/_ping")).status == 403
        assert engine.connections == 0


async def test_without_a_database_requests_are_told_to_try_again(tmp_path: Path) -> None:
    async with scripted(tmp_path, _ok) as engine, proxied(tmp_path, engine.path) as job:
        job.run.is_available = False
        client = await job.connect()
        await client.request("GET /_ping")
        assert (await client.answer()).status == 503
        job.run.is_available = True
        await client.request("GET /_ping")
        assert (await client.answer()).status == 200


async def test_a_client_that_does_not_read_holds_the_engine_back(tmp_path: Path) -> None:
    sent = 0

    async def engine_side(engine: EngineSide) -> None:
        nonlocal sent
        await engine.head()
        await engine.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            await engine.say(b"x" * 1_000_000)
            sent += 1

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport
        await client.request("GET /images/it/get")
        await asyncio.sleep(0.5)
        assert sent < 5
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # likewise
        await client.head()
        received = 0
        while received < 100_000_000:
            received += len(await client.reader.read(1_000_000))


async def test_a_closed_server_ends_its_connections(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        await engine.reader.read()

    async with scripted(tmp_path, engine_side) as engine:
        async with proxied(tmp_path, engine.path) as job:
            clients = await _three_kinds(job)
            await eventually(lambda: engine.connections == 2)
        for client in clients:
            assert await client.reader.read() == b""
        assert job.run.in_flight == 0


async def _three_kinds(job: Proxied) -> list[Client]:
    clients = [await job.connect() for _ in range(3)]
    job.run.containers["abc"] = True
    await clients[1].request("GET /events")
    await clients[2].request("POST /containers/abc/start", b"")
    return clients
