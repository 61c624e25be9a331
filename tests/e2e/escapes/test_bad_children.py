"""Runs whose processes resist are stopped and proved gone, and nothing else is touched."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.shared_system import shared_system
from tests.support.stops.bystanders import Running, WorkerWithBystanders, names, stranger_process
from tools.services import Services
from tools.support.launched import Launched
from tools.support.processes import KILLED_BY, alive, state_of, until_stopped, why_no_cgroups
from worker.processes.cgroup import runs_root

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = 65534
GRACE = 0.3
STORM = 1.5
"""Long enough for a storm to grow, also on a busy machine."""
# An interpreter in a home directory is out of another user's reach; so it changes once it runs.
UNPRIVILEGED_LAUNCHER = f"""
import argparse, os
from worker.launcher import prctl  # noqa: F401 - which it needs only later, as what help needs
from worker.launcher.cancel_exec import main
argparse.ArgumentParser().format_help()
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
main()
"""
LEAVE = 'echo 0 > "$1/cgroup.procs"; echo $?; sleep 60'


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["cgroup", "session"])
async def worker(
    request: pytest.FixtureRequest,
    services: Services,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[WorkerWithBystanders]:
    if request.param == "cgroup" and (reason := why_no_cgroups()):
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("bystanders")
    async with shared_system(services, template, directory) as system:
        # Only a grace period of the command or of the run can end a stop here before the test.
        await system.worker(containment=request.param, grace_seconds=60)
        stranger = await stranger_process()
        run_ids = count(1)
        other = next(run_ids)
        _, other_mark = await system.launch_bad_child(other, "obeys")
        others = tuple(alive(other_mark))
        assert len(others) == 2
        try:
            yield WorkerWithBystanders(system, request.param, stranger.pid, others, run_ids)
            assert (await system.run(other))["status"] == "running"
        finally:
            stranger.kill()
            await stranger.wait()


@pytest.fixture(autouse=True)
def bystanders_are_untouched(worker: WorkerWithBystanders) -> Iterator[None]:
    """Both would die of a stop signal and stay stopped after a SIGSTOP."""
    yield
    assert {state_of(pid) for pid in (worker.stranger, *worker.other_run)} == {"S"}


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        ("ignores_term", 137),
        ("setsid_child", 143),
        ("daemon", 143),
        ("leaves_children", 143),
        ("fork_storm", 137),
        ("relay", 143),  # its own is 0, but a canceled run is no success
        ("tree", 143),
        ("outlives_main_thread", 137),
        ("hops_threads", 137),
        ("storm_without_main_threads", 137),
    ],
)
async def test_a_tree_that_does_not_obey_is_killed(
    worker: WorkerWithBystanders, kind: str, exit_code: int
) -> None:
    running = await worker.launch(kind)

    evidence = await running.cancel(grace_seconds=GRACE)

    assert evidence["ended"] == "killed"
    assert names(evidence) == ["SIGTERM", "SIGCONT", *KILLED_BY[worker.containment]]
    assert evidence["duration_ms"] >= GRACE * 1000 - 100
    assert evidence["escaped"] == []
    assert await running.launched.exit_code() == exit_code


async def test_a_fork_storm_is_killed_to_the_last_process(worker: WorkerWithBystanders) -> None:
    running = await worker.launch("fork_storm")

    evidence = await running.cancel(grace_seconds=STORM)

    assert evidence["signals"][-1]["processes"] > 20, "the storm was to begin with the stop"


async def test_an_obedient_tree_is_gone_long_before_its_grace_period_ends(
    worker: WorkerWithBystanders,
) -> None:
    running = await worker.launch("obeys")

    evidence = await running.cancel(grace_seconds=30)

    assert evidence["ended"] == "obeyed"
    # Far less in fact, see integration/test_stop_timing.py: here others use the processor too.
    assert evidence["duration_ms"] < 3000
    assert names(evidence) == ["SIGTERM", "SIGCONT"]
    assert [sent["processes"] for sent in evidence["signals"]] == [2, 2]
    assert await running.launched.exit_code() == 143


async def test_a_stopped_tree_is_continued_and_so_obeys(worker: WorkerWithBystanders) -> None:
    running = await worker.launch("stops_itself")
    await until_stopped(running.mark)

    evidence = await running.cancel(grace_seconds=30)

    assert evidence["ended"] == "obeyed"
    assert names(evidence) == ["SIGTERM", "SIGCONT"]
    assert await running.launched.exit_code() == 143


async def test_force_goes_straight_to_sigkill(worker: WorkerWithBystanders) -> None:
    running = await worker.launch("obeys")

    evidence = await running.cancel(force=True, grace_seconds=30)

    assert evidence["ended"] == "killed"
    assert names(evidence) == KILLED_BY[worker.containment]
    assert await running.launched.exit_code() == 137


async def test_force_during_the_grace_period_escalates_the_one_stop(
    worker: WorkerWithBystanders,
) -> None:
    running = await worker.launch("defies")
    first = await worker.system.publish(running.run_id, grace_seconds=60)
    assert await running.launched.line() == "asked"

    second = await worker.system.publish(running.run_id, force=True)

    evidence = await running.canceled_by(first)
    assert names(evidence) == ["SIGTERM", "SIGCONT", *KILLED_BY[worker.containment]]
    assert evidence["duration_ms"] < 10_000
    joined = await worker.system.outcome_of(second)
    assert (joined["outcome"], joined["evidence"]) == ("forced", {"stop_in_progress": True})
    run = await worker.system.run(running.run_id)
    assert run["stop_deadline"] <= run["finished_at"]
    planned = run["first_stop_deadline"] - run["canceling_at"]
    assert abs(planned - timedelta(seconds=60)) < timedelta(seconds=0.1)


async def test_the_runs_own_stop_signal_is_sent(worker: WorkerWithBystanders) -> None:
    running = await worker.launch("obeys_int_only", stop_signal="SIGINT")

    evidence = await running.cancel(grace_seconds=30)

    assert evidence["ended"] == "obeyed"
    assert names(evidence) == ["SIGINT", "SIGCONT"]
    assert await running.launched.exit_code() == 130


async def test_the_runs_own_grace_period_is_used(worker: WorkerWithBystanders) -> None:
    running = await worker.launch("ignores_term", grace=GRACE)

    evidence = await running.cancel()

    assert evidence["ended"] == "killed"
    assert GRACE * 1000 - 100 <= evidence["duration_ms"] < 10_000


async def test_the_commands_grace_period_wins_over_the_runs(worker: WorkerWithBystanders) -> None:
    running = await worker.launch("ignores_term", grace=60)

    evidence = await running.cancel(grace_seconds=GRACE)

    assert evidence["ended"] == "killed"
    assert GRACE * 1000 - 100 <= evidence["duration_ms"] < 10_000


async def test_a_root_job_that_left_its_cgroup_is_found_killed_and_reported(
    worker: WorkerWithBystanders,
) -> None:
    if worker.containment == "session":
        pytest.skip("there is no cgroup to leave")
    running = await worker.launch("leaves_cgroup")
    (pid,) = alive(running.mark)

    evidence = await running.cancel(grace_seconds=GRACE)

    assert evidence["ended"] == "killed"
    assert [process["pid"] for process in evidence["escaped"]] == [pid]
    assert await running.launched.exit_code() == 137


@pytest.mark.parametrize(
    "kind", ["leaves_cgroup_without_main_thread", "leaves_cgroup_and_hops_threads"]
)
async def test_a_root_job_that_left_its_cgroup_without_its_main_thread_is_found(
    worker: WorkerWithBystanders, kind: str
) -> None:
    if worker.containment == "session":
        pytest.skip("there is no cgroup to leave")
    running = await worker.launch(kind)
    (pid,) = alive(running.mark)

    evidence = await running.cancel(grace_seconds=GRACE)

    assert evidence["ended"] == "killed"
    assert [process["pid"] for process in evidence["escaped"]] == [pid]


async def test_a_root_job_in_a_threaded_cgroup_of_its_own_is_killed(
    worker: WorkerWithBystanders,
) -> None:
    if worker.containment == "session":
        pytest.skip("there is no cgroup to make one in")
    running = await worker.launch("threads_cgroup")

    evidence = await running.cancel(grace_seconds=GRACE)

    assert evidence["ended"] == "killed"
    assert [sent["processes"] for sent in evidence["signals"]] == [1, 1, 1]


async def test_a_job_without_privileges_cannot_leave_its_cgroup(
    worker: WorkerWithBystanders,
) -> None:
    if worker.containment == "session":
        pytest.skip("there is no cgroup to leave")
    run_id, mark = next(worker.run_ids), f"mark-{uuid4().hex}"
    await worker.system.add_run(run_id)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", UNPRIVILEGED_LAUNCHER),
        *("--run-id", str(run_id), "--socket", str(worker.system.socket())),
        *("--", "/bin/sh", "-c", LEAVE, mark, str(runs_root(worker.system.host).parents[1])),
        stdout=asyncio.subprocess.PIPE,
    )
    launched = Launched(process)
    try:
        assert await launched.line() != "0", "it left"
        run = await worker.system.run(run_id)
        assert run["uid"] == NOBODY
        evidence = await Running(worker, run_id, launched, mark).cancel(grace_seconds=30)
    finally:
        await launched.end()

    assert (evidence["ended"], evidence["escaped"]) == ("obeyed", [])
