"""Containers that a run was registered to keep, and what becomes of them later."""

import asyncio
import os
import signal

import pytest

from tests.support.docker.canceled import ContainerRun, needs_engine
from tests.support.docker.left import LEAVES, LEAVES_PLAIN, command_ends, leaving
from tests.support.docker.own_engine import OwnEngine
from tools.support.processes import PROVED_BY
from tools.support.system import System

pytestmark = needs_engine

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])


async def _kept(system: System, run: ContainerRun) -> None:
    await command_ends(run)
    assert await run.launched.exit_code() == 0
    left = await system.left_behind(1)
    assert (left["kept"], left["containers_number"], left["ended"]) == (True, 2, None)
    assert "2 containers" in await run.launched.errors()


async def _end_all(engine: OwnEngine, run: ContainerRun, verb: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("docker", "--host", engine.docker_host, verb, *run.containers),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0


@CONTAINMENTS
async def test_they_live_on_through_workers_and_engines_until_a_cancel(
    system: System, engine: OwnEngine, containment: str
) -> None:
    env = {"CANCEL_DOCKER": engine.docker_host, "CANCEL_CONTAINMENT": containment}
    worker = await system.worker(env=env)
    async with leaving(system, engine, leftovers="keep") as run:
        await _kept(system, run)
        before = run.alive_in_containers()
        assert len(before) == 2
        await worker.stop()
        await system.worker(env=env, grace_seconds=0.5)
        assert run.alive_in_containers() == before
        await engine.kill()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await engine.start()  # which starts them again

        assert len(run.alive_in_containers()) == 2
        outcome = await system.outcome_of(await system.publish(1))

        assert run.alive() == []
        assert outcome["outcome"] == "leftovers_stopped"
        assert {each["id"] for each in outcome["evidence"]["containers"]} == set(run.containers)
        left = await system.left_behind(1)
        assert (left["ended"], left["proof"]) == ("killed", PROVED_BY[containment])
        await run.until_removed()


@CONTAINMENTS
async def test_that_they_ended_by_themselves_is_noticed(
    system: System, engine: OwnEngine, containment: str
) -> None:
    env = {"CANCEL_DOCKER": engine.docker_host, "CANCEL_CONTAINMENT": containment}
    worker = await system.worker(env=env)
    async with leaving(system, engine, LEAVES_PLAIN, leftovers="keep") as run:
        await _kept(system, run)
        await worker.stop()
        await _end_all(engine, run, "kill")

        worker = await system.worker(env=env)

        await worker.event("left_behind_gone", run_id=1)
        outcome = await system.outcome_of(await system.publish(1))
        assert (outcome["outcome"], run.alive()) == ("no_op", [])


async def test_those_that_the_engine_may_start_again_have_not_ended(
    system: System, engine: OwnEngine
) -> None:
    worker = await system.worker(docker=engine.docker_host)
    async with leaving(system, engine, LEAVES, leftovers="keep") as run:
        await _kept(system, run)
        await worker.stop()
        await _end_all(engine, run, "kill")  # as the engine sees it, by hand

        worker = await system.worker(docker=engine.docker_host, grace_seconds=0.5)
        await worker.event("consuming")
        await engine.restart()
        assert len(run.alive_in_containers()) == 2, "the engine has started them again"

        outcome = await system.outcome_of(await system.publish(1))
        assert (outcome["outcome"], run.alive()) == ("leftovers_stopped", [])
        await run.until_removed()


@CONTAINMENTS
async def test_without_the_engine_they_are_not_taken_for_gone(
    system: System, engine: OwnEngine, containment: str
) -> None:
    worker = await system.worker(docker=engine.docker_host, containment=containment)
    async with leaving(system, engine, leftovers="keep") as run:
        await _kept(system, run)
        await worker.stop()

        worker = await system.worker(containment=containment, grace_seconds=0.5)
        outcome = await system.outcome_of(await system.publish(1))

        assert outcome["outcome"] == "stop_failed"
        assert outcome["evidence"]["engine_missing"]
        assert (await system.left_behind(1))["proof"] is None
        assert not [e for e in worker.events if e["event"] == "left_behind_gone"]
