"""What a command leaves behind when it ends by itself is stopped, proved gone, and recorded."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.support.launcher.leaving import launch_leaving
from tools.support.processes import KILLED_BY, PROVED_BY, alive
from tools.support.system import System
from tools.support.waiting import eventually

SOON = timedelta(seconds=0.5)
CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])


@CONTAINMENTS
@pytest.mark.parametrize(("kind", "names"), [("sleeps", 1), ("obeys", 2), ("stops_itself", 1)])
async def test_it_gets_the_stop_signal_before_the_launcher_returns(
    system: System, containment: str, kind: str, names: int
) -> None:
    await system.worker(containment=containment, leftovers_grace_seconds=30)
    await system.add_run(1)
    launched, mark = await launch_leaving(system, 1, kind, exit_code=3)

    assert await launched.exit_code() == 3

    assert alive(mark) == []
    assert (await system.run(1))["status"] == "fail"
    left = await system.left_behind(1)
    assert left["number"] == len(left["found"]) == names
    assert (left["ended"], left["proof"]) == ("obeyed", PROVED_BY[containment])
    assert [sent["signal"] for sent in left["signals"]] == ["SIGTERM", "SIGCONT"]
    errors = await launched.errors()
    number = "1 process" if names == 1 else f"{names} processes"
    assert errors.startswith(f"cancel-exec: stopped {number} that the command left behind: ")
    assert errors.count("\n") == 1


@CONTAINMENTS
@pytest.mark.parametrize("kind", ["ignores_term", "daemon", "setsid_child"])
async def test_it_is_killed_after_the_grace_period(
    system: System, containment: str, kind: str
) -> None:
    await system.worker(containment=containment, leftovers_grace_seconds=0.2)
    await system.add_run(1)
    launched, mark = await launch_leaving(system, 1, kind)

    assert await launched.exit_code() == 0

    assert alive(mark) == []
    assert (await system.run(1))["status"] == "pass"
    left = await system.left_behind(1)
    assert (left["ended"], left["proof"]) == ("killed", PROVED_BY[containment])
    assert [sent["signal"] for sent in left["signals"]][2:] == KILLED_BY[containment]
    assert "which had to be killed" in await launched.errors()


@pytest.mark.parametrize(("grace", "of_run"), [(60, 0), (0.2, 60)])
async def test_the_grace_period_of_the_run_counts_only_if_it_is_shorter(
    system: System, grace: float, of_run: float
) -> None:
    await system.worker(leftovers_grace_seconds=grace)
    await system.add_run(1, grace=of_run)
    launched, mark = await launch_leaving(system, 1, "ignores_term")

    assert await launched.exit_code() == 0

    assert alive(mark) == []
    assert (await system.left_behind(1))["ended"] == "killed"


async def test_the_stop_signal_of_the_run_is_used(system: System) -> None:
    await system.worker(leftovers_grace_seconds=30)
    await system.add_run(1, stop_signal="SIGINT")
    # In the background of a shell, SIGINT is ignored; this one handles it.
    launched, mark = await launch_leaving(system, 1, "obeys_int_only")

    assert await launched.exit_code() == 0

    assert alive(mark) == []
    left = await system.left_behind(1)
    assert left["ended"] == "obeyed"
    assert left["signals"][0]["signal"] == "SIGINT"


@CONTAINMENTS
async def test_a_command_that_leaves_nothing_has_no_record_of_it(
    system: System, containment: str
) -> None:
    await system.worker(containment=containment)
    await system.add_run(1)
    launched = await system.launch(1, "sh", "-c", "sleep 0.05 & wait")

    assert await launched.exit_code() == 0

    assert (await system.run(1))["left_behind"] is None
    assert await launched.errors() == ""


@CONTAINMENTS
async def test_what_is_registered_to_be_kept_lives_on_until_a_cancel(
    system: System, containment: str
) -> None:
    worker = await system.worker(containment=containment, grace_seconds=30)
    await system.add_run(1, leftovers="keep")
    launched, mark = await launch_leaving(system, 1, "sleeps")

    assert await launched.exit_code() == 0

    (pid,) = alive(mark)
    left = await system.left_behind(1)
    assert (left["number"], left["kept"], left["ended"]) == (1, True, None)
    assert left["found"][0]["pid"] == pid
    told = "the command left 1 process running, as the run was registered to do: "
    assert await launched.errors() == f"cancel-exec: {told}python (pid {pid})\n"

    await worker.stop()
    await system.worker(containment=containment, grace_seconds=30)
    assert alive(mark) == [pid]
    outcome = await system.outcome_of(await system.publish(1))

    assert outcome["outcome"] == "leftovers_stopped"
    assert outcome["evidence"]["ended"] == "obeyed"
    assert alive(mark) == []
    assert (await system.run(1))["status"] == "pass"
    left = await system.left_behind(1)
    assert (left["ended"], left["proof"]) == ("obeyed", PROVED_BY[containment])
    again = await system.outcome_of(await system.publish(1))
    assert (again["outcome"], again["evidence"]) == ("no_op", {"run_status": "pass"})


async def test_the_daemon_of_one_run_does_not_take_over_the_work_of_the_next(
    system: System,
) -> None:
    await system.worker(leftovers_grace_seconds=5)
    await system.add_run(1)
    daemon, mark = await launch_leaving(system, 1, "daemon")
    assert await daemon.exit_code() == 0

    assert alive(mark) == []


async def test_a_cancel_takes_over_with_its_own_grace_period(system: System) -> None:
    await system.worker(leftovers_grace_seconds=2, grace_seconds=60)
    await system.add_run(1)
    launched, mark = await launch_leaving(system, 1, "ignores_term")
    deadline = (await system.left_behind(1))["deadline"]
    command_id = await system.publish(1)
    await system.status_becomes(1, "canceling")
    await eventually(lambda: datetime.now(UTC) > datetime.fromisoformat(deadline) + SOON)
    assert len(alive(mark)) == 1

    await system.publish(1, force=True)

    outcome = await system.outcome_of(command_id)
    assert outcome["outcome"] == "canceled"
    assert outcome["evidence"]["ended"] == "killed"
    assert alive(mark) == []
    assert await launched.exit_code() == 143
    run = await system.run(1)
    assert (run["status"], run["exit_code"]) == ("canceled", 0)


async def test_a_run_whose_leftovers_are_being_stopped_is_not_unreported(system: System) -> None:
    worker = await system.worker(leftovers_grace_seconds=2, host_heartbeat=0.2)
    await system.add_run(1)
    launched, _ = await launch_leaving(system, 1, "ignores_term")

    assert await launched.exit_code() == 0

    assert (await system.run(1))["unreported_since"] is None
    assert not [event for event in worker.events if event["event"] == "run_unreported"]


async def test_a_command_that_waits_stops_what_the_run_keeps(system: System) -> None:
    """It came while the run was running, but the run was over when it was taken up."""
    await system.add_run(1, leftovers="keep")
    worker = await system.worker()
    launched, mark = await launch_leaving(system, 1, "sleeps")
    assert await launched.exit_code() == 0
    await worker.stop()
    # As a worker of another host that decided on it a moment before.
    command_id = str(uuid4())
    await system.database.execute(
        "UPDATE runs SET status = 'running', exit_code = NULL, finished_at = NULL"
    )
    await system.database.execute(
        "INSERT INTO cancellations (command_id, run_id, via, force)"
        " VALUES ($1::text::uuid, 1, 'rest', false)",
        command_id,
    )
    await system.database.execute(
        "UPDATE runs SET status = 'pass', exit_code = 0, finished_at = now()"
    )

    await system.worker()

    assert (await system.outcome_of(command_id))["outcome"] == "leftovers_stopped"
    assert alive(mark) == []
