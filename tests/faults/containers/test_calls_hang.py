"""An engine that hangs for one call, or loses it, and answers all others."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from tests.support.docker import jobs, marked
from tests.support.docker.between import Between, between
from tests.support.docker.canceled import container_run, needs_engine
from tests.support.docker.jobs import Job
from tests.support.docker.own_engine import OwnEngine
from tests.support.docker.stopped import dies_at_its_deadline, is_canceled
from tools.support.processes import PROVED_BY
from tools.support.system import System

pytestmark = needs_engine

LIST = "GET .*/containers/json"
INSPECT = "GET .*/containers/[0-9a-f]{64}/json"
SETTLE = "POST .*/update"
SIGNAL = "POST .*/kill"
START = "POST .*/start"

TWO = Job(
    "two",
    """
for number in 1 2; do
    docker run --detach --name "$mark-$number" --restart always --env TEST_MARK="$mark" "$@" \\
        "$image" sleep 1000 >&2
done
echo ready
exec sleep 1000
""",
    containers=2,
)


@pytest.fixture
async def before(engine: OwnEngine) -> AsyncIterator[Between]:
    async with between(engine.socket, engine.directory / "between.sock") as passing:
        yield passing


@pytest.mark.parametrize("call", [LIST, INSPECT, SETTLE, SIGNAL])
async def test_a_call_that_hangs_delays_the_proof_and_not_the_kill(
    system: System, engine: OwnEngine, before: Between, call: str
) -> None:
    await system.worker(docker=before.docker_host, grace_seconds=1)
    async with container_run(system, engine, TWO) as run:
        before.hold(call)
        command_id = await system.publish(1)
        await before.held.wait()

        await dies_at_its_deadline(system, run)
        assert (await system.run(1))["status"] == "canceling"
        before.release()

        assert (await is_canceled(system, run, command_id))["proof"] == PROVED_BY["cgroup"]
        await run.until_removed()


@pytest.mark.parametrize("call", [LIST, INSPECT, SETTLE, SIGNAL])
async def test_a_call_that_is_lost_is_made_again(
    system: System, engine: OwnEngine, before: Between, call: str
) -> None:
    worker = await system.worker(docker=before.docker_host, grace_seconds=1, host_heartbeat=60)
    async with container_run(system, engine, TWO) as run:
        before.lose(call)
        command_id = await system.publish(1)

        await dies_at_its_deadline(system, run)

        evidence = await is_canceled(system, run, command_id)
        assert {each["id"] for each in evidence["containers"]} == set(run.containers)
        assert not [e for e in worker.events if e["event"] == "stop_not_carried_out"]
        await run.until_removed()


async def test_what_is_being_started_when_the_gate_closes_is_waited_for_past_the_deadline(
    system: System, engine: OwnEngine, before: Between
) -> None:
    await system.worker(docker=before.docker_host, grace_seconds=0.5)
    await system.add_run(1)
    mark = "mark-held-start"
    before.hold(START)
    launched = await system.launch(1, *jobs.DEAF.command(mark, image="run-cancel-test/tiny:1"))
    await before.held.wait()
    command_id = await system.publish(1)
    run = await system.status_becomes(1, "canceling")
    await marked.until_gone(mark)
    while datetime.now(UTC) < run["stop_deadline"]:
        await system.database.fetchval("SELECT pg_sleep(0.05)")
    # Looks at the engine follow each other within 0.25 s.
    await system.database.fetchval("SELECT pg_sleep(1)")
    assert (await system.run(1))["status"] == "canceling"

    before.release()

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert marked.alive(mark) == []
    await launched.end()
