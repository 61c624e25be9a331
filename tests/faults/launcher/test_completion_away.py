"""The command's end is recorded, whichever service is away at that moment."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.support.broker.event_listener import until_told
from tests.support.launcher.launching import Command, blocked_in_database, is_live, locked_run
from tests.support.postgres.commit_proxy import CommitProxy
from tools.support.launched import Launched
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

# How long whoever is away stays away, in seconds.
AWAY = float(os.environ.get("TEST_AWAY_SECONDS", "2"))


@pytest.fixture
async def command(system: System) -> AsyncIterator[Command]:
    command = Command(system)
    yield command
    command.end_with(0)


async def keeps_trying(launched: Launched, seconds: float = AWAY) -> None:
    with suppress(TimeoutError):
        await launched.exit_code(deadline=seconds)
        raise AssertionError(f"gave up: {await launched.errors()}")


@pytest.mark.timeout(60 + 2 * AWAY)
@pytest.mark.parametrize(("code", "status"), [(0, "pass"), (7, "fail")])
async def test_worker_killed_when_the_command_ends(
    system: System, command: Command, code: int, status: str
) -> None:
    worker = await system.worker()
    launched = await command.start()

    await worker.kill()
    await command.ended_with(code)
    await keeps_trying(launched, AWAY if code else 0.2)
    await system.worker()

    assert await launched.exit_code() == code
    run = await system.run(1)
    assert (run["status"], run["exit_code"]) == (status, code)


@pytest.mark.timeout(60 + 2 * AWAY)
async def test_postgres_silent_when_the_command_ends(
    system: System, command: Command, postgres: TcpProxy
) -> None:
    worker = await system.program(
        "worker", "serve", DATABASE_URL=postgres.proxied, CANCEL_DATABASE_TIMEOUT="1"
    )
    await worker.event("worker_ready")
    launched = await command.start()

    postgres.stall()
    await command.ended_with(5)
    await keeps_trying(launched)
    postgres.resume()

    assert await launched.exit_code() == 5
    run = await system.run(1)
    assert (run["status"], run["exit_code"]) == ("fail", 5)


async def test_postgres_connections_cut_when_the_command_ends(
    system: System, command: Command, postgres: TcpProxy
) -> None:
    worker = await system.program("worker", "serve", DATABASE_URL=postgres.proxied)
    await worker.event("worker_ready")
    launched = await command.start()

    async with locked_run(system, 1):
        command.end_with(6)
        await blocked_in_database(system)
        await postgres.cut()
        await blocked_in_database(system)

    assert await launched.exit_code() == 6
    run = await system.run(1)
    assert (run["status"], run["exit_code"]) == ("fail", 6)


async def test_recorded_but_never_answered_it_is_recorded_once(
    system: System, command: Command
) -> None:
    proxy = CommitProxy(system.database_url)
    await proxy.listen()
    worker = await system.program("worker", "serve", DATABASE_URL=proxy.proxied)
    await worker.event("worker_ready")
    launched = await command.start()
    await until_told(system)  # or the next COMMIT would be that of the relay
    proxy.lose()
    command.end_with(8)
    before = await system.status_becomes(1, "fail")

    await worker.kill()
    await system.worker()

    assert await launched.exit_code() == 8
    assert await system.run(1) == before
    await proxy.close()


async def test_stderr_is_not_read_and_the_worker_is_away(system: System, command: Command) -> None:
    worker = await system.worker()
    launched = await command.start()
    # The complaint about the absent worker is written to a broken pipe.
    transport = launched.process._transport  # type: ignore[attr-defined]  # no public way
    transport.get_pipe_transport(2).close()

    await worker.kill()
    await command.ended_with(4)
    await keeps_trying(launched, seconds=0.5)
    await system.worker()

    assert await launched.exit_code() == 4
    assert (await system.run(1))["status"] == "fail"


async def test_interrupted_while_it_reports_it_goes_on(system: System, command: Command) -> None:
    worker = await system.worker()
    launched = await command.start()
    await worker.kill()
    await command.ended_with(3)

    launched.process.send_signal(signal.SIGINT)
    launched.process.send_signal(signal.SIGTERM)
    await system.worker()

    assert await launched.exit_code() == 3
    assert (await system.run(1))["exit_code"] == 3


async def test_a_worker_that_stays_away_costs_the_report_but_not_the_exit_code(
    system: System, command: Command
) -> None:
    worker = await system.worker()
    launched = await command.start("--report-timeout", "0.3")
    await worker.kill()
    command.end_with(9)

    assert await launched.exit_code() == 9
    lines = (await launched.errors()).splitlines()
    assert lines and all(line.startswith("cancel-exec: ") for line in lines)
    assert "could not report exit code 9" in lines[-1]
    await system.worker()
    assert "launcher" in (await system.status_becomes(1, "error"))["error"]


async def test_a_success_that_could_not_be_recorded_is_none(
    system: System, command: Command
) -> None:
    worker = await system.worker()
    launched = await command.start("--report-timeout", "0.3")
    await worker.kill()
    command.end_with(0)

    assert await launched.exit_code() == 125
    line = (await launched.errors()).splitlines()[-1]
    assert line.startswith("cancel-exec: could not report exit code 0, exiting with 125: ")
    await system.worker()
    assert (await system.status_becomes(1, "error"))["exit_code"] is None


async def test_launcher_killed_while_the_command_runs(system: System, command: Command) -> None:
    worker = await system.worker()
    launched = await command.start()

    launched.process.kill()

    await worker.event("run_lost", deadline=3)
    run = await system.run(1)
    assert run["status"] == "error"
    assert run["error"] == "the launcher died without reporting an exit code"
    assert "launcher" in run["error"]


async def test_launcher_dies_while_the_worker_is_away(system: System, command: Command) -> None:
    worker = await system.worker()
    launched = await command.start()
    await worker.kill()

    launched.process.kill()
    await eventually(lambda: not is_live(launched.process.pid))
    await system.worker()

    run = await system.status_becomes(1, "error", deadline=3)
    assert "launcher" in run["error"]
