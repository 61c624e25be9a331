"""Runs that start containers just when they are canceled, and many of them at once."""

import asyncio

import pytest

from tests.support.docker import jobs
from tests.support.docker.canceled import ContainerRun, container_run, needs_engine
from tests.support.docker.jobs import Job
from tests.support.docker.own_engine import OwnEngine
from tests.support.docker.stopped import is_canceled
from tools.support.processes import PROVED_BY
from tools.support.records import Json
from tools.support.system import System

pytestmark = needs_engine

TRIES = 12
RUNS = 6
THREE = Job(
    "three",
    """
for number in 1 2 3; do
    docker run --detach --name "$mark-$number" --restart always --env TEST_MARK="$mark" "$@" \\
        "$image" sleep 1000 >&2
done
echo ready
exec sleep 1000
""",
    containers=3,
)


@pytest.mark.parametrize("containment", ["cgroup", "session"])
async def test_nothing_is_alive_after_a_cancel_that_is_raced_with_starts(
    system: System, engine: OwnEngine, containment: str
) -> None:
    await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=0.2)
    started = []
    for run_id in range(1, TRIES + 1):
        async with container_run(system, engine, jobs.RACING, run_id=run_id) as run:
            await asyncio.sleep((run_id - 1) / 8)  # the race itself
            evidence = await is_canceled(system, run, await system.publish(run_id))
            assert evidence["proof"] in (PROVED_BY[containment], "engine_reported")
            started.append(len(evidence["containers"]))
            await run.until_removed()
            assert run.alive() == []
    # A race that always ends the same way would prove nothing.
    assert len(set(started)) > 1, started


async def test_many_runs_are_canceled_at_once_each_with_its_own_containers(
    system: System, engine: OwnEngine
) -> None:
    await system.worker(docker=engine.docker_host, grace_seconds=1)
    async with container_run(system, engine, THREE, run_id=RUNS + 1) as other:
        done = asyncio.Event()
        up = [asyncio.Event() for _ in range(RUNS)]
        canceled = [
            asyncio.create_task(_cancel(system, engine, run_id + 1, up, done))
            for run_id in range(RUNS)
        ]
        for each in up:
            await each.wait()
        before = other.alive_in_containers()
        done.set()
        for run, evidence in [await each for each in canceled]:
            assert {each["id"] for each in evidence["containers"]} == set(run.containers)
            assert evidence["proof"] == PROVED_BY["cgroup"]
        assert other.alive_in_containers() == before
        assert (await system.run(RUNS + 1))["status"] == "running"


async def _cancel(
    system: System,
    engine: OwnEngine,
    run_id: int,
    up: list[asyncio.Event],
    go: asyncio.Event,
) -> tuple[ContainerRun, Json]:
    async with container_run(system, engine, THREE, run_id=run_id) as run:
        up[run_id - 1].set()
        await go.wait()
        evidence = await is_canceled(system, run, await system.publish(run_id))
        await run.until_removed()
        return run, evidence
