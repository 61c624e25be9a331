"""An engine of a test's own can be killed, frozen and restarted, and leaves nothing."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.docker import leavings, tiny_image
from tests.support.docker.direct import direct
from tests.support.docker.drivers import DRIVERS
from tests.support.docker.jobs import COMPOSE, DEAF, DETACHED, RESTARTED, Job
from tests.support.docker.own_engine import Driver, OwnEngine, own_engine
from tests.support.docker.started import started
from tools.support.waiting import eventually

# An engine that starts asks the containers to end that it finds running.
_AT_ONCE = ("--stop-timeout", "0")


@pytest.fixture(params=DRIVERS)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[OwnEngine]:
    async with own_engine(request.param) as running:
        yield running


async def test_containers_outlive_an_engine_that_is_killed(engine: OwnEngine) -> None:
    async with started(DETACHED, engine.docker_host, tiny_image.NAME, _AT_ONCE) as job:
        (process,) = job.alive_in_containers()

        await engine.kill()

        assert job.alive_in_containers() == [process]
        with pytest.raises(aiohttp.ClientConnectionError):
            await job.engine.ask("/version")
        await engine.start()
        await job.until_gone()
        assert await job.engine.running(job.mark) == []


async def test_a_restart_policy_brings_a_container_back(engine: OwnEngine) -> None:
    async with started(RESTARTED, engine.docker_host, tiny_image.NAME, _AT_ONCE) as job:
        before = job.alive_in_containers()

        await engine.restart()

        await eventually(
            job.alive_in_containers, lambda now: now and now != before, what="what runs in it"
        )


async def test_a_frozen_engine_takes_connections_and_does_not_answer(engine: OwnEngine) -> None:
    engine.freeze()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(engine.socket))
    async with direct(engine.docker_host) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.ask("/version")

        engine.thaw()

        async with asyncio.timeout(10):
            assert await client.ask("/version")


@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_network_of_the_machine_is_not_that_of_its_engine(driver: Driver) -> None:
    before = _interfaces()
    async with own_engine(driver) as engine:
        theirs = Path(f"/proc/{engine.pid}/ns/net").readlink()

    assert theirs != Path("/proc/self/ns/net").readlink()
    # It makes one of that name, and an engine that has none would remove it.
    assert ("docker0" in before) == ("docker0" in _interfaces())


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("how", ["running", "killed", "frozen"])
@pytest.mark.parametrize("job", [DEAF, COMPOSE], ids=lambda job: job.name)
async def test_nothing_is_left_of_it(driver: Driver, how: str, job: Job) -> None:
    async with own_engine(driver) as engine:
        process = await asyncio.create_subprocess_exec(
            *job.command("mark-left", tiny_image.NAME),
            env={**os.environ, "DOCKER_HOST": engine.docker_host},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        assert leavings.processes(engine.directory)
        assert leavings.mounts(engine.directory)
        assert leavings.cgroups(engine.cgroup_parent)
        if how == "killed":
            await engine.kill()
        elif how == "frozen":
            engine.freeze()

    await process.wait()
    assert leavings.processes(engine.directory) == []
    assert leavings.mounts(engine.directory) == []
    assert leavings.cgroups(engine.cgroup_parent) == []
    assert not engine.directory.exists()


def _interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}
