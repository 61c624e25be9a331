"""What counts as in flight for the gate of its run, and what a closed gate stops."""

import asyncio
from pathlib import Path

import pytest

from tests.support.docker.proxied import proxied
from tests.support.docker.scripted_engine import EngineSide, scripted
from tools.support.program import DEADLINE
from tools.support.waiting import eventually
from worker.docker.proxy.limits import Limits


async def _ok(engine: EngineSide) -> None:
    while await engine.head():
        await engine.answer(b"OK")


@pytest.mark.parametrize("half", [True, False])
async def test_a_start_counts_until_its_answer_though_its_client_is_gone(
    tmp_path: Path, half: bool
) -> None:
    answer, closed = asyncio.Event(), asyncio.Event()

    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        reading = asyncio.ensure_future(engine.reader.read())
        await answer.wait()
        assert not reading.done()
        await engine.say(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reading
        closed.set()

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        job.run.containers["abc"] = True
        client = await job.connect()
        await client.request("POST /containers/abc/start", b"")
        await job.run.begun.wait()
        if half:
            client.writer.write_eof()
        else:
            await client.close()
        job.run.gate.close("the run is being canceled")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job.run.gate.drained(), 0.2)
        answer.set()
        await asyncio.wait_for(job.run.gate.drained(), DEADLINE)
        await asyncio.wait_for(closed.wait(), DEADLINE)


async def test_a_start_counts_no_more_once_its_engine_is_gone(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        await engine.reader.read()

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        job.run.containers["abc"] = True
        client = await job.connect()
        await client.request("POST /containers/abc/start", b"")
        await job.run.begun.wait()
        await eventually(lambda: engine.connections == 1)
        await engine.stop()
        assert (await client.answer()).status == 502
        await job.run.gate.drained()


async def test_an_exec_counts_no_more_once_it_has_begun(tmp_path: Path) -> None:
    async def engine_side(engine: EngineSide) -> None:
        await engine.head()
        await engine.reader.readexactly(2)
        await engine.say(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        await engine.say(await engine.reader.readexactly(5))

    async with scripted(tmp_path, engine_side) as engine, proxied(tmp_path, engine.path) as job:
        job.run.containers["abc"] = True
        job.run.execs["e"] = "abc"
        client = await job.connect()
        await client.request("POST /exec/e/start", b"{}", "Connection: Upgrade", "Upgrade: tcp")
        await client.head()
        assert job.run.in_flight == 0
        await client.send(b"hello")
        assert await client.reader.read() == b"hello"


async def test_a_body_that_does_not_come_keeps_no_gate_from_being_drained(tmp_path: Path) -> None:
    async with scripted(tmp_path, _ok) as engine, proxied(tmp_path, engine.path) as job:
        client = await job.connect()
        await client.request("POST /containers/create", b"", length=100)
        await client.send(b"{")
        assert (await job.ask("GET", "/_ping")).status == 200
        assert job.run.in_flight == 0


@pytest.mark.parametrize("passes", [0, 2, 4, 8, 12, None])
@pytest.mark.parametrize("target", ["/build", "/grpc", "/session"])
async def test_builds_are_cut(tmp_path: Path, target: str, passes: int | None) -> None:
    """So many passes of the loop after a build has begun; None: once the engine knows of it."""
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def engine_side(engine: EngineSide) -> None:
        try:
            if not await engine.head():
                return  # cut before that
            if target != "/build":
                await engine.say(b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
            arrived.set()
            await engine.reader.read()
        finally:
            ended.set()

    # Longer than the test waits: the engine must not have to wait for the client to be gone.
    limits = Limits(linger=10 * DEADLINE)
    async with (
        scripted(tmp_path, engine_side) as engine,
        proxied(tmp_path, engine.path, limits) as job,
    ):
        client = await job.connect()
        await client.request(f"POST {target}", b"", "Connection: Upgrade", "Upgrade: h2c")
        await job.run.begun.wait()
        if passes is None:
            await arrived.wait()
        for _ in range(passes or 0):
            await asyncio.sleep(0)
        job.run.gate.close("the run is being canceled")
        job.run.gate.cut_builds()
        await asyncio.wait_for(ended.wait(), DEADLINE)
        await client.reader.read()
        # Both ends are told before the proxy itself has noticed.
        await asyncio.wait_for(job.run.gate.built(), DEADLINE)
        assert job.run.builds == 0
        assert (await job.ask("POST", target)).status == 409


async def test_a_closed_gate_lets_pass_what_starts_nothing(tmp_path: Path) -> None:
    async with scripted(tmp_path, _ok) as engine, proxied(tmp_path, engine.path) as job:
        job.run.containers["abc"] = True
        job.run.gate.close("run 1 is being canceled")
        answered = await job.ask("POST", "/containers/abc/start")
        assert answered.status == 409
        why = b"nothing more is started: run 1 is being canceled"
        assert answered.body == b'{"message": "run-cancel: %b"}\n' % why
        for verb in ("stop", "kill", "wait"):
            assert (await job.ask("POST", f"/containers/abc/{verb}")).status == 200
        assert (await job.ask("DELETE", "/containers/abc")).status == 200
        assert (await job.ask("HEAD", "/_ping")).status == 200
