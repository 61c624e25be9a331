"""A later worker has no `CANCEL_DOCKER`: it claims nothing of containers that it cannot see."""

import pytest

from tests.support.docker.canceled import needs_engine
from tests.support.docker.left import command_ends, leaving
from tests.support.docker.own_engine import OwnEngine
from tools.support.system import System

pytestmark = needs_engine

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])
SAYS = "it has started containers, and its worker has no CANCEL_DOCKER"


@CONTAINMENTS
async def test_a_cancel_fails_and_says_why(
    system: System, engine: OwnEngine, containment: str
) -> None:
    worker = await system.worker(docker=engine.docker_host, containment=containment)
    async with leaving(system, engine) as run:
        await worker.stop()
        worker = await system.worker(containment=containment, grace_seconds=0.5)

        outcome = await system.outcome_of(await system.publish(1))

        assert (outcome["outcome"], outcome["evidence"]["engine_missing"]) == ("stop_failed", True)
        assert (await system.run(1))["status"] == "canceling"
        _, shown, _ = await system.cli("worker", "runs", "show", "1")
        assert SAYS in shown
        await worker.stop()

        await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=0.5)
        again = await system.outcome_of(await system.publish(1))
        assert (again["outcome"], run.alive()) == ("canceled", [])
        await run.until_removed()


@CONTAINMENTS
async def test_what_a_command_leaves_is_not_taken_for_nothing(
    system: System, engine: OwnEngine, containment: str
) -> None:
    worker = await system.worker(docker=engine.docker_host, containment=containment)
    async with leaving(system, engine) as run:
        await worker.stop()
        worker = await system.worker(containment=containment, leftovers_grace_seconds=0.5)
        await command_ends(run)

        await system.status_becomes(1, "pass")

        left = await system.left_behind(1)
        assert (left["engine_missing"], left["proof"]) == (True, None)
        assert "which its worker cannot see" in await run.launched.errors()
        await worker.stop()
        await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=0.5)
        await system.outcome_of(await system.publish(1))
        assert run.alive() == []
        assert (await system.left_behind(1))["proof"] is not None
        await run.until_removed()


@CONTAINMENTS
async def test_a_lost_run_is_not_proved_gone(
    system: System, engine: OwnEngine, containment: str
) -> None:
    worker = await system.worker(docker=engine.docker_host, containment=containment)
    async with leaving(system, engine) as run:
        await worker.stop()
        worker = await system.worker(containment=containment)
        run.launched.kill()

        await worker.event("leftovers_cleared", run_id=1, proof=None)
        await worker.stop()
        worker = await system.worker(docker=engine.docker_host, containment=containment)

        await worker.event("leftovers_cleared", run_id=1, where=lambda event: event["proof"])
        assert run.alive() == []
        await run.until_removed()
