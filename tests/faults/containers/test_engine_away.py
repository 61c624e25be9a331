"""The engine is killed, frozen or started again while a run with containers is stopped."""

import pytest

from tests.support.docker import jobs
from tests.support.docker.canceled import container_run, needs_engine
from tests.support.docker.jobs import Job
from tests.support.docker.own_engine import OwnEngine
from tests.support.docker.stopped import dies_at_its_deadline, is_canceled
from tools.support.processes import PROVED_BY
from tools.support.system import System

pytestmark = needs_engine

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])
FAULTS = pytest.mark.parametrize("fault", ["killed", "frozen"])
DEAF_JOBS = pytest.mark.parametrize(
    "job", [jobs.DEAF, jobs.RESTARTED, jobs.PAUSED], ids=lambda job: job.name
)
"""What they start goes on until it is killed, in that way or another."""


async def _go_away(engine: OwnEngine, fault: str) -> None:
    if fault == "killed":
        await engine.kill()
    else:
        engine.freeze()


async def _come_back(engine: OwnEngine, fault: str) -> None:
    if fault == "killed":
        await engine.start()
    else:
        engine.thaw()


@CONTAINMENTS
@FAULTS
@DEAF_JOBS
async def test_away_before_the_stop_it_delays_the_proof_and_not_the_kill(
    system: System, engine: OwnEngine, job: Job, fault: str, containment: str
) -> None:
    await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=1)
    async with container_run(system, engine, job) as run:
        await _go_away(engine, fault)
        command_id = await system.publish(1)

        await dies_at_its_deadline(system, run)
        assert (await system.run(1))["status"] == "canceling"
        await _come_back(engine, fault)

        evidence = await is_canceled(system, run, command_id)
        assert evidence["proof"] == PROVED_BY[containment]
        await run.until_removed()


@CONTAINMENTS
@FAULTS
@DEAF_JOBS
async def test_away_in_the_grace_period_it_delays_the_proof_and_not_the_kill(
    system: System, engine: OwnEngine, job: Job, fault: str, containment: str
) -> None:
    await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=1.5)
    async with container_run(system, engine, job) as run:
        command_id = await system.publish(1)
        await system.status_becomes(1, "canceling")
        await _go_away(engine, fault)

        await dies_at_its_deadline(system, run)
        assert (await system.run(1))["status"] == "canceling"
        await _come_back(engine, fault)

        await is_canceled(system, run, command_id)
        await run.until_removed()
