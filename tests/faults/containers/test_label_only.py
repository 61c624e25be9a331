"""Containers whose cgroups cannot be seen: only the engine can end them."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from uuid import UUID, uuid4

import pytest

from tests.support.docker import marked, tiny_image
from tests.support.docker.between import Between, between
from tests.support.docker.canceled import needs_engine
from tests.support.docker.own_engine import OwnEngine
from tools.support.waiting import eventually
from worker.docker.engine.client import Engine
from worker.docker.gates import Gate
from worker.docker.scope import LABEL
from worker.docker.stopping.container_stop import ContainerStop
from worker.docker.stopping.deadlines import Deadlines

pytestmark = needs_engine

GRACE = 1.0


@pytest.fixture
async def before(engine: OwnEngine) -> AsyncIterator[Between]:
    async with between(engine.socket, engine.directory / "between.sock") as passing:
        yield passing


def _parent(engine: OwnEngine) -> str:
    return f"{engine.cgroup_parent}/launch"  # which is removed with the engine


async def _start(engine: OwnEngine, launch_id: UUID) -> str:
    process = await asyncio.create_subprocess_exec(
        *(
            "docker",
            "--host",
            engine.docker_host,
            "run",
            "--detach",
            "--cgroup-parent",
            _parent(engine),
        ),
        *("--restart", "always"),  # else there is nothing to update
        *("--label", f"{LABEL}={launch_id}", tiny_image.NAME, "sleep", "1000"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return out.decode().strip()


@pytest.mark.parametrize("call", ["update", "kill"])
async def test_a_call_that_hangs_for_one_does_not_delay_the_kill_of_another(
    engine: OwnEngine, before: Between, call: str
) -> None:
    launch_id = uuid4()
    one, other = [await _start(engine, launch_id) for _ in range(2)]
    before.hold(f"POST .*/{one}/{call}")
    asked = Engine(before.path)
    began = monotonic()
    deadlines = Deadlines(began + GRACE, 10, asyncio.Event())
    stop = ContainerStop(asked, Gate(), launch_id, _parent(engine), None, deadlines)
    stopping = asyncio.create_task(stop.run())
    try:
        await eventually(lambda: marked.alive("no mark", [other]), lambda pids: not pids)
        assert GRACE <= monotonic() - began < GRACE + 1
        assert len(marked.alive("no mark", [one])) == 1
        assert not stopping.done()
        before.release()

        stopped = await stopping

        assert marked.alive("no mark", [one, other]) == []
        assert {(end.id, end.signal, end.exit_code) for end in stopped.ends} == {
            (one, "SIGKILL", 137),
            (other, "SIGKILL", 137),
        }
        assert not stopped.held
    finally:
        stopping.cancel()
        await asked.close()
