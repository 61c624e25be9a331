"""`cancel-exec` for a run that is registered a moment later."""

import asyncio
import signal
from pathlib import Path
from time import monotonic

import pytest

from shared.postgres import sql
from tests.support.launcher.launching import blocked_in_database, children, marking, starts
from tools.support.launched import Launched
from tools.support.rows import registration
from tools.support.system import System
from tools.support.waiting import eventually
from worker.processes.cgroup import path_of

CONTAINMENTS = ("cgroup", "session")


async def waiting(system: System, marks: Path, *options: str) -> Launched:
    """A launcher that was told that its run is unknown."""
    launched = await system.launch(1, *marking(marks), options=options)
    assert launched.process.stderr is not None
    async with asyncio.timeout(30):
        line = (await launched.process.stderr.readline()).decode()
    assert line == "cancel-exec: run 1 is not registered yet; waiting up to 30 s\n"
    return launched


def run_cgroups(system: System) -> list[Path]:
    """What is left of runs where the worker puts them."""
    own = path_of("self")
    return [] if own is None else list((own / "cancel-worker" / system.host).glob("run-*"))


@pytest.mark.parametrize("containment", CONTAINMENTS)
async def test_a_run_that_is_registered_later_starts_then(system: System, containment: str) -> None:
    await system.worker(containment=containment)
    marks = system.directory / "marks"
    launched = await waiting(system, marks)
    await asyncio.sleep(1)  # what is under test: the pauses have grown by now
    assert starts(marks) == []

    await system.add_run(1)
    registered = monotonic()

    assert await launched.exit_code() == 0
    assert monotonic() - registered < 3
    run = await system.run(1)
    assert starts(marks) == [(run["pid"], str(run["launch_id"]))]
    assert (run["status"], await launched.errors()) == ("pass", "")


async def test_a_run_that_is_canceled_when_it_appears_never_starts(system: System) -> None:
    await system.worker()
    marks = system.directory / "marks"
    launched = await waiting(system, marks)

    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute(sql.registrations.REGISTER, *registration(1))
        await connection.execute(
            "UPDATE runs SET status = 'canceled', finished_at = now(), proof = 'never_started'"
        )

    assert await launched.exit_code() == 123
    assert await launched.errors() == (
        "cancel-exec: run 1 was canceled before it started; the command was not run\n"
    )
    assert starts(marks) == []


async def test_of_many_launchers_that_wait_for_one_run_one_starts_it(system: System) -> None:
    await system.worker()
    marks = system.directory / "marks"
    launched = [await waiting(system, marks) for _ in range(5)]

    await system.add_run(1)

    assert sorted([await each.exit_code() for each in launched]) == [0] + [125] * 4
    assert len(starts(marks)) == 1
    assert (await system.run(1))["status"] == "pass"


@pytest.mark.parametrize("containment", CONTAINMENTS)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_launcher_that_ends_while_it_waits_leaves_nothing_and_starts_nothing(
    system: System, containment: str, signum: signal.Signals
) -> None:
    await system.worker(containment=containment)
    marks = system.directory / "marks"
    launched = await waiting(system, marks)

    launched.process.send_signal(signum)

    assert await launched.exit_code(deadline=2) == -signum
    assert await launched.errors() == "", "no child at a barrier holds it open"
    await eventually(lambda: run_cgroups(system) == [])
    await system.add_run(1)
    await system.add_run(2)
    # The worker has long had all that was asked of it before this.
    assert await (await system.launch(2, "true")).exit_code() == 0
    assert (await system.run(1))["status"] == "queued"
    assert starts(marks) == []


async def test_a_launcher_killed_while_it_asks_for_a_run_that_appears_starts_nothing(
    system: System,
) -> None:
    worker = await system.worker()
    marks = system.directory / "marks"
    launched = await waiting(system, marks)
    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        # The claim: a heartbeat waits, too.
        await blocked_in_database(system, text="SET status = 'running'")
        assert len(children(launched.process.pid)) == 1
        launched.process.kill()
        await launched.exit_code()
        await connection.execute(sql.registrations.REGISTER, *registration(1))

    # The claim was sent before the launcher died, and is carried out.
    await worker.event("run_claimed")
    assert (await system.status_becomes(1, "error"))["error"].startswith("the launcher died")
    assert starts(marks) == []


async def test_it_waits_on_through_a_restart_of_the_worker(system: System) -> None:
    worker = await system.worker()
    marks = system.directory / "marks"
    launched = await waiting(system, marks)

    await worker.kill()
    await system.worker()
    await system.add_run(1)

    code = await launched.exit_code()
    assert code == 0, await launched.errors()
    assert len(starts(marks)) == 1
