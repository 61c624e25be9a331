"""A launcher that dies: its run is recorded, and what it leaves is no longer than that."""

import json

import pytest

from tools.support.processes import PROVED_BY, alive, until_gone
from tools.support.records import Json
from tools.support.system import System

CONTAINMENTS = ("cgroup", "session")


async def _loss(system: System) -> Json:
    run = await system.run(1)
    assert run["status"] == "error"
    assert run["error"] == "the launcher died without reporting an exit code"
    loss: Json = json.loads(run["loss"])
    assert loss["cause"] == "launcher_died"
    return loss


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_what_a_killed_launcher_leaves_is_killed_and_recorded_as_error(
    system: System, containment: str
) -> None:
    worker = await system.worker(containment=containment)
    # Without a cgroup, an orphan that cleared its environment is out of reach (docs/limits.md).
    kind = "tree" if containment == "cgroup" else "leaves_children"
    launched, mark = await system.launch_bad_child(1, kind)

    launched.kill()
    await worker.event("leftovers_cleared", run_id=1)

    await until_gone(mark, deadline=0)
    loss = await _loss(system)
    assert (loss["ended"], loss["proof"]) == ("killed", PROVED_BY[containment])


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_the_next_worker_finds_a_run_whose_launcher_died_meanwhile(
    system: System, containment: str
) -> None:
    worker = await system.worker(containment=containment)
    launched, mark = await system.launch_bad_child(1, "leaves_children")
    await worker.kill()
    launched.kill()

    worker = await system.worker(containment=containment)
    await worker.event("leftovers_cleared", run_id=1)

    await until_gone(mark, deadline=0)
    assert (await _loss(system))["proof"] == PROVED_BY[containment]


async def test_the_next_worker_clears_away_what_one_that_died_has_only_recorded(
    system: System,
) -> None:
    worker = await system.worker()
    _, mark = await system.launch_bad_child(1, "ignores_term")
    await worker.kill()
    await _record_lost(system)

    worker = await system.worker()

    await worker.event("leftovers_cleared", run_id=1, ended="killed")
    await until_gone(mark, deadline=0)


async def test_a_loss_that_a_worker_of_the_version_before_recorded_is_taken_up(
    system: System,
) -> None:
    worker = await system.worker()
    _, mark = await system.launch_bad_child(1, "ignores_term")
    await worker.kill()
    await _record_lost(system)
    await system.database.execute("UPDATE runs SET loss = NULL")

    worker = await system.worker()

    await worker.event("leftovers_cleared", run_id=1, ended="killed")
    await until_gone(mark, deadline=0)
    assert (await _loss(system))["proof"] is not None


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_cancel_stops_what_a_lost_run_has_left(system: System, containment: str) -> None:
    await system.worker(containment=containment)
    _, mark = await system.launch_bad_child(1, "leaves_children")
    await _record_lost(system)
    assert alive(mark)

    commands = [await system.publish(1) for _ in range(3)]

    outcomes = [(await system.outcome_of(command))["outcome"] for command in commands]
    await until_gone(mark, deadline=0)
    assert outcomes.count("leftovers_stopped") >= 1
    assert set(outcomes) <= {"leftovers_stopped", "no_op"}
    assert (await _loss(system))["proof"] == PROVED_BY[containment]


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_launcher_that_dies_while_its_run_is_canceled_ends_it_as_canceled(
    system: System, containment: str
) -> None:
    await system.worker(containment=containment)
    launched, mark = await system.launch_bad_child(1, "ignores_term")
    command_id = await system.publish(1, grace_seconds=2)
    await system.status_becomes(1, "canceling")

    launched.kill()

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)
    assert (await system.run(1))["status"] == "canceled"


async def _record_lost(system: System) -> None:
    """Leave the row of run 1 as a worker that died right after its first write leaves it."""
    await system.database.execute(
        "UPDATE runs SET status = 'error', finished_at = now(),"
        " error = 'the launcher died without reporting an exit code',"
        """ loss = '{"cause": "launcher_died"}' WHERE run_id = 1"""
    )
