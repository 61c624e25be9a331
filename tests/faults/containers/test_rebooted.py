"""A host comes back with another kernel; its engine has started containers again."""

import os
import signal

import pytest

from tests.support.docker import jobs
from tests.support.docker.canceled import ContainerRun, container_run, needs_engine
from tests.support.docker.left import command_ends, leaving
from tests.support.docker.own_engine import OwnEngine
from tests.support.records.hosts import rebooted
from tools.support.program import Program
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = needs_engine

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])


async def _reboot(system: System, engine: OwnEngine, worker: Program, run: ContainerRun) -> None:
    """Of the processes, those in containers are there after it: their engine starts them again.

    The others name nobody of this boot, and would be still alive here.
    """
    await worker.kill()
    run.launched.kill()
    await engine.kill()
    for pid in run.alive_in_containers():
        os.kill(pid, signal.SIGKILL)
    await engine.start()
    await rebooted(system, system.host)
    assert run.alive_in_containers()


@CONTAINMENTS
async def test_of_a_run_that_was_running_they_are_killed_and_the_run_is_lost(
    system: System, engine: OwnEngine, containment: str
) -> None:
    worker = await system.worker(docker=engine.docker_host, containment=containment)
    async with container_run(system, engine, jobs.RESTARTED) as run:
        await _reboot(system, engine, worker, run)

        await system.worker(docker=engine.docker_host, containment=containment)

        lost = await system.status_becomes(1, "error")
        assert lost["error"] == "the host was rebooted while the run was running"
        await run.until_removed()
        assert run.alive_in_containers() == []


@CONTAINMENTS
async def test_of_a_run_that_was_canceling_they_are_killed_before_it_is_canceled(
    system: System, engine: OwnEngine, containment: str
) -> None:
    # It is killed before it has settled anything.
    worker = await system.worker(docker=engine.docker_host, containment=containment)
    async with container_run(system, engine, jobs.RESTARTED) as run:
        engine.freeze()
        command_id = await system.publish(1, grace_seconds=600)
        await system.status_becomes(1, "canceling")
        await worker.kill()
        await _reboot(system, engine, worker, run)

        await system.worker(docker=engine.docker_host, containment=containment)
        await system.publish(1, force=True)

        outcome = await system.outcome_of(command_id)
        assert run.alive_in_containers() == []
        assert outcome["outcome"] == "canceled"
        assert {each["id"] for each in outcome["evidence"]["containers"]} == set(run.containers)
        await run.until_removed()


@CONTAINMENTS
async def test_what_a_run_keeps_is_kept_until_a_cancel(
    system: System, engine: OwnEngine, containment: str
) -> None:
    worker = await system.worker(docker=engine.docker_host, containment=containment)
    async with leaving(system, engine, leftovers="keep") as run:
        await command_ends(run)
        assert await run.launched.exit_code() == 0
        await _reboot(system, engine, worker, run)

        await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=0.5)
        assert (await system.left_behind(1))["proof"] is None
        outcome = await system.outcome_of(await system.publish(1))

        assert run.alive_in_containers() == []
        assert outcome["outcome"] == "leftovers_stopped"
        await run.until_removed()


async def test_of_a_lost_run_they_are_killed_and_that_is_recorded(
    system: System, engine: OwnEngine
) -> None:
    """Its launcher died, and before its containers were killed the host did."""
    worker = await system.worker(docker=engine.docker_host)
    async with container_run(system, engine, jobs.RESTARTED) as run:
        engine.freeze()
        run.launched.kill()
        await system.status_becomes(1, "error")
        await _reboot(system, engine, worker, run)

        await system.worker(docker=engine.docker_host)

        await eventually(
            lambda: system.database.fetchval("SELECT loss ->> 'proof' FROM runs"),
            what="the proof",
        )
        assert run.alive_in_containers() == []
        await run.until_removed()
