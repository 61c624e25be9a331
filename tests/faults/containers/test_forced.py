"""A force, and a run whose stop signal goes to its leader alone."""

import pytest

from tests.support.docker import jobs
from tests.support.docker.canceled import container_run, needs_engine
from tests.support.docker.jobs import Job
from tests.support.docker.own_engine import OwnEngine
from tests.support.docker.stopped import is_canceled
from tools.support.processes import PROVED_BY
from tools.support.system import System

pytestmark = needs_engine

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])

WITH_CHILD = Job(
    "with_child",
    """
trap '' TERM
docker run --detach --name "$mark" --env TEST_MARK="$mark" --stop-signal SIGINT "$@" "$image" \\
    sh -c 'trap "exit 7" INT; trap "" TERM; echo up; while :; do sleep 1000 & wait; done' >&2
(trap 'exit 0' TERM; while :; do sleep 0.1; done) &
until docker logs "$mark" | grep -q up; do sleep 0.05; done
echo ready
while :; do sleep 1000 & wait; done
""",
)
"""Its leader is deaf; its child and its container would obey."""


@CONTAINMENTS
async def test_a_force_ends_the_grace_period_of_containers_too(
    system: System, engine: OwnEngine, containment: str
) -> None:
    await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=600)
    async with container_run(system, engine, jobs.DEAF) as run:
        command_id = await system.publish(1)
        await system.status_becomes(1, "canceling")
        assert run.alive_in_containers()

        assert (await system.outcome_of(await system.publish(1, force=True)))["outcome"] == "forced"

        evidence = await is_canceled(system, run, command_id)
        assert [each["signal"] for each in evidence["containers"]] == ["SIGKILL"]
        assert evidence["proof"] == PROVED_BY[containment]
        await run.until_removed()


@CONTAINMENTS
async def test_a_force_ends_it_although_the_engine_hangs(
    system: System, engine: OwnEngine, containment: str
) -> None:
    await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=600)
    async with container_run(system, engine, jobs.PAUSED) as run:
        engine.freeze()
        command_id = await system.publish(1)
        await system.status_becomes(1, "canceling")

        await system.publish(1, force=True)

        await run.until_dead(1)
        assert (await system.run(1))["status"] == "canceling"
        engine.thaw()
        await is_canceled(system, run, command_id)
        await run.until_removed()


async def test_containers_get_their_own_signals_also_where_that_of_the_run_is_for_its_leader(
    system: System, engine: OwnEngine
) -> None:
    await system.worker(docker=engine.docker_host, grace_seconds=1.5)
    async with container_run(system, engine, WITH_CHILD) as run:
        await system.database.execute("UPDATE runs SET stop_scope = 'leader'")
        command_id = await system.publish(1)

        evidence = await is_canceled(system, run, command_id)
        (end,) = evidence["containers"]
        assert (end["signal"], end["exit_code"]) == ("SIGINT", 7)
        asked = [sent for sent in evidence["signals"] if sent["signal"] == "SIGTERM"]
        assert [(sent["to"], sent["processes"]) for sent in asked] == [("leader", 1)]
        await run.until_removed()
