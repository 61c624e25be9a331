"""A run that keeps what its command leaves behind is `running` on record, but its launcher is gone.

So it is after a restore, if the run has ended since the backup. How it ended is noted with its
cgroup, but not if the worker was killed at that moment, nor without a cgroup.
"""

import json
import os
import signal

import pytest

from tests.support.launcher.leaving import launch_leaving
from tools.support.processes import PROVED_BY, alive, until_gone
from tools.support.records import Json
from tools.support.system import System

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])
END_NOTE = "user.run_cancel.end"


async def _loss(system: System) -> Json:
    run = await system.status_becomes(1, "error")
    assert run["error"] == "the launcher died without reporting an exit code"
    loss: Json = json.loads(run["loss"])
    assert loss["cause"] == "launcher_died"
    return loss


async def _ended_unknown(system: System, containment: str) -> str:
    """Have a run whose end nothing tells of; the mark of what it has left."""
    worker = await system.worker(containment=containment)
    await system.add_run(1, leftovers="keep")
    launched, mark = await launch_leaving(system, 1, "sleeps", exit_code=3)
    assert await launched.exit_code() == 3
    await worker.stop()
    if cgroup := (await system.run(1))["cgroup"]:
        os.removexattr(cgroup, END_NOTE)
    await system.database.execute(
        "UPDATE runs SET status = 'running', exit_code = NULL, finished_at = NULL,"
        " left_behind = NULL"
    )
    return mark


@CONTAINMENTS
async def test_what_is_kept_lives_on_until_a_cancel(system: System, containment: str) -> None:
    mark = await _ended_unknown(system, containment)
    (pid,) = alive(mark)

    worker = await system.worker(containment=containment)

    await worker.event("left_behind_kept", run_id=1, processes=1)
    loss = await _loss(system)
    assert (loss["kept"], loss["number"], loss["found"][0]["pid"]) == (True, 1, pid)
    code, shown, _ = await system.cli("worker", "runs", "show", "1")
    assert code == 0
    assert f"1 process: python (pid {pid}); kept" in shown
    # The next worker leaves it alone, too.
    await worker.stop()
    worker = await system.worker(containment=containment)
    assert alive(mark) == [pid]

    outcome = await system.outcome_of(await system.publish(1))

    assert outcome["outcome"] == "leftovers_stopped"
    assert alive(mark) == []
    assert (await _loss(system))["proof"] == PROVED_BY[containment]


@CONTAINMENTS
async def test_its_end_is_noticed(system: System, containment: str) -> None:
    mark = await _ended_unknown(system, containment)
    worker = await system.worker(containment=containment)
    await worker.event("left_behind_kept", run_id=1)
    await worker.stop()
    (pid,) = alive(mark)
    os.kill(pid, signal.SIGKILL)
    await until_gone(mark)

    worker = await system.worker(containment=containment)

    # A worker that starts removes cgroups that are empty, and may scan then.
    gone = await worker.event("left_behind_gone", run_id=1)
    assert gone["proof"] in PROVED_BY.values()
    loss = await _loss(system)
    assert (loss["ended"], loss["proof"]) == ("already_gone", gone["proof"])


@CONTAINMENTS
async def test_a_command_that_has_not_ended_is_stopped(system: System, containment: str) -> None:
    """A job may have killed its launcher."""
    worker = await system.worker(containment=containment)
    await system.add_run(1, leftovers="keep")
    launched, mark = await system.launch_bad_child(1, "leaves_children")
    await worker.stop()
    launched.kill()

    worker = await system.worker(containment=containment)

    await worker.event("leftovers_cleared", run_id=1, ended="killed")
    await until_gone(mark, deadline=0)
    assert (await _loss(system))["proof"] == PROVED_BY[containment]


async def test_what_another_database_has_is_not_recorded_here(system: System) -> None:
    """It has a run of the same number, and knows a host of this name."""
    worker = await system.worker(containment="cgroup")
    await system.add_run(1, leftovers="keep")
    launched, mark = await launch_leaving(system, 1, "sleeps")
    assert await launched.exit_code() == 0
    await worker.stop()
    await system.database.execute("UPDATE schema_migrations SET applied_at = now()")
    await system.database.execute("DELETE FROM runs")
    await system.add_run(1)

    await system.worker(containment="cgroup")

    assert (await system.run(1))["status"] == "queued"
    assert len(alive(mark)) == 1
