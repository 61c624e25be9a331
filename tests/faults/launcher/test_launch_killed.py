"""Launcher or worker killed at each step of a launch: registered and run once, or never run."""

import os
import signal

import pytest

from tests.support.launcher.launching import (
    Launch,
    blocked_in_database,
    connected,
    is_live,
    is_stopped,
    locked_run,
    starts,
)
from tools.support.system import System
from tools.support.waiting import eventually


async def stopped(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    await eventually(lambda: is_stopped(pid))


# Forked, and nobody listens yet.


async def test_launcher_killed_before_it_reached_a_worker(system: System) -> None:
    launch = await Launch.begin(system)

    await launch.kill_launcher()
    await system.worker()

    await launch.never_ran("queued")


async def test_worker_away_before_the_launcher_reached_it(system: System) -> None:
    launch = await Launch.begin(system)

    await system.worker()

    await launch.ran_once_registered()


# The request is sent, and the worker has not read it.


async def test_launcher_killed_when_its_request_was_not_read(system: System) -> None:
    worker = await system.worker()
    await stopped(worker.process.pid)
    launch = await Launch.begin(system)
    await connected(launch.launched.process.pid)

    await launch.kill_launcher()
    await eventually(lambda: not is_live(launch.child))
    worker.process.send_signal(signal.SIGCONT)

    # The request may still be read, but not on behalf of anybody.
    await system.add_run(2)
    assert await (await system.launch(2, "true")).exit_code() == 0
    await launch.never_ran("queued")


async def test_worker_killed_when_the_request_was_not_read(system: System) -> None:
    worker = await system.worker()
    await stopped(worker.process.pid)
    launch = await Launch.begin(system)
    await connected(launch.launched.process.pid)

    await worker.kill()
    await system.worker()

    await launch.ran_once_registered()


# The claim waits in the database.


@pytest.mark.parametrize("containment", ["auto", "session"])
async def test_launcher_killed_while_its_claim_was_under_way(
    system: System, containment: str
) -> None:
    worker = await system.worker(containment=containment)
    await system.add_run(1)
    async with locked_run(system, 1):
        launch = await Launch.begin(system)
        await blocked_in_database(system)
        await launch.kill_launcher()
        await eventually(lambda: not is_live(launch.child))
        # Longer than a dead launcher's last words are waited for, so that the claim comes last.
        await system.database.execute("SELECT pg_sleep(1)")

    await worker.event("run_claimed")
    await launch.never_ran("error")


async def test_worker_killed_while_it_claimed(system: System) -> None:
    worker = await system.worker()
    await system.add_run(1)
    async with locked_run(system, 1):
        launch = await Launch.begin(system)
        await blocked_in_database(system)
        await worker.kill()
        assert starts(launch.marks) == []
    await system.worker()

    await launch.ran_once_registered()


async def test_worker_and_launcher_killed_while_it_claimed(system: System) -> None:
    worker = await system.worker()
    await system.add_run(1)
    async with locked_run(system, 1):
        launch = await Launch.begin(system)
        await blocked_in_database(system)
        await worker.kill()
        await launch.kill_launcher()
    await eventually(lambda: not is_live(launch.child))
    await system.worker()

    # The database may have carried the statement out before it saw that nobody asks any more.
    run = await system.status_becomes(1, "queued", "error")
    await launch.never_ran(run["status"])


# The answer is sent, and the barrier still closed.


async def test_launcher_killed_before_it_opened_the_barrier(system: System) -> None:
    worker = await system.worker()
    await system.add_run(1)
    async with locked_run(system, 1):
        launch = await Launch.begin(system)
        await blocked_in_database(system)
        await stopped(launch.launched.process.pid)
    await worker.event("run_claimed")

    await launch.kill_launcher()

    await launch.never_ran("error")


async def test_worker_killed_before_the_barrier_was_open(system: System) -> None:
    worker = await system.worker()
    await system.add_run(1)
    async with locked_run(system, 1):
        launch = await Launch.begin(system)
        await blocked_in_database(system)
        await stopped(launch.launched.process.pid)
    await worker.event("run_claimed")
    await worker.kill()

    launch.launched.process.send_signal(signal.SIGCONT)
    await system.worker()

    await launch.ran_once_registered()


# The barrier is open.


async def test_worker_killed_after_the_command_began(system: System) -> None:
    worker = await system.worker()
    launched, mark = await system.launch_bad_child(1, "sleeps")
    before = await system.run(1)

    await worker.kill()
    await system.worker()
    os.kill(before["pid"], signal.SIGTERM)

    assert await launched.exit_code() == 143
    run = await system.run(1)
    assert (run["status"], run["exit_code"]) == ("fail", 143), mark
    assert run["launch_id"] == before["launch_id"]


async def test_canceled_before_the_barrier_was_open_the_command_never_runs(
    system: System,
) -> None:
    worker = await system.worker()
    await system.add_run(1)
    async with locked_run(system, 1):
        launch = await Launch.begin(system)
        await blocked_in_database(system)
        await stopped(launch.launched.process.pid)
    await worker.event("run_claimed")
    await system.publish(1)
    await worker.event("run_canceled")

    launch.launched.process.send_signal(signal.SIGCONT)

    assert await launch.launched.exit_code() == 123
    await launch.never_ran("canceled")
