"""What a worker can promise as root, with few capabilities, and without root."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository.systemd_units import WORKER_UNIT, capabilities
from tests.support.rights.privileges import (
    NOBODY,
    SOMEBODY_ELSE,
    as_user,
    bounded,
    delegated,
    why_no_users,
)
from tests.support.rights.rootless import Rootless
from tools.support.processes import BAD_CHILD, alive, until_gone, why_no_cgroups
from tools.support.program import Program
from tools.support.system import System


@pytest.fixture(autouse=True, scope="module")
def other_users() -> None:
    if reason := why_no_users():
        pytest.skip(reason)


@pytest.fixture
def cgroup(system: System) -> Iterator[Path]:
    """A cgroup that is nobody's; emptied before the system ends."""
    if reason := why_no_cgroups():
        pytest.skip(reason)
    with delegated(NOBODY) as group:
        yield group


async def _canceled(system: System, run_id: int, mark: str) -> dict[str, Any]:
    """Cancel a run; its evidence, once the run and its processes are seen to be over."""
    row = await system.outcome_of(await system.publish(run_id, grace_seconds=1))
    assert (row["outcome"], (await system.run(run_id))["status"]) == ("canceled", "canceled")
    await until_gone(mark, deadline=0)
    evidence: dict[str, Any] = row["evidence"]
    return evidence


async def test_without_root_a_delegated_cgroup_is_as_good(rootless: Rootless, cgroup: Path) -> None:
    await rootless.worker(cgroup, containment="cgroup")
    _, mark = await rootless.launch(1, "daemon", cgroup)

    evidence = await _canceled(rootless.system, 1, mark)

    assert (evidence["containment"], evidence["proof"]) == ("cgroup", "cgroup_empty")
    assert (await rootless.system.run(1))["uid"] == NOBODY


async def test_there_another_runs_launcher_is_no_doubt(rootless: Rootless, cgroup: Path) -> None:
    """It could be a process that left the run's cgroup: it may not be read, and is younger."""
    await rootless.worker(cgroup, containment="cgroup")
    _, mark = await rootless.launch(1, "ignores_term", cgroup)
    await rootless.launch(2, "sleeps", cgroup, by=("setsid",))

    evidence = await _canceled(rootless.system, 1, mark)

    assert (evidence["ended"], evidence["proof"]) == ("killed", "cgroup_empty")
    assert (await rootless.system.run(2))["status"] == "running"


async def test_without_root_and_cgroup_it_goes_by_scans(rootless: Rootless) -> None:
    worker = await rootless.worker()
    assert (await worker.event("no_cgroups"))["reason"]
    _, mark = await rootless.launch(1, "daemon")

    evidence = await _canceled(rootless.system, 1, mark)

    assert (evidence["containment"], evidence["proof"]) == ("session", "scans_empty")


async def test_it_ends_where_it_may_not_do_without(rootless: Rootless) -> None:
    worker = await rootless.system.program(
        "worker",
        "serve",
        within=as_user(NOBODY),
        CANCEL_CONTAINMENT="cgroup",
        CANCEL_WORKER_SOCKET=str(rootless.socket),
    )

    assert await worker.wait() == 2
    (line,) = worker.output
    assert line.startswith("cancel-worker: cannot create /")
    assert line.endswith(": Permission denied")


async def test_a_job_from_outside_of_the_delegated_cgroup_goes_by_scans(
    rootless: Rootless, cgroup: Path
) -> None:
    worker = await rootless.worker(cgroup)
    _, mark = await rootless.launch(1, "daemon")
    await worker.event("run_without_cgroup", run_id=1)

    evidence = await _canceled(rootless.system, 1, mark)

    assert (evidence["containment"], evidence["proof"]) == ("session", "scans_empty")


async def test_or_is_refused_where_that_is_not_enough(rootless: Rootless, cgroup: Path) -> None:
    await rootless.worker(cgroup, containment="cgroup")

    why = await rootless.refused(1, "--start-timeout", "0.2")

    assert why.startswith("cancel-exec: cannot use the cgroup /") and why.endswith(
        ": Permission denied"
    )


@pytest.mark.parametrize("user", [SOMEBODY_ELSE, 0])
async def test_another_users_job_is_refused(rootless: Rootless, user: int) -> None:
    await rootless.worker()

    why = await rootless.refused(1, user=user)

    assert why == (
        f"cancel-exec: the worker refused the launch: this worker runs as user {NOBODY} and cannot "
        f"signal processes of user {user}: run the worker as root or the job as user {NOBODY}"
    )


@pytest.fixture
def sudo(system: System) -> tuple[str, ...]:
    """What runs a command as root, whoever calls it."""
    program = system.directory / "setpriv"
    shutil.copy(str(shutil.which("setpriv")), program)
    program.chmod(0o4755)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        pytest.skip("set-user-ID has no effect here")
    return (str(program), "--reuid=0", "--regid=0", "--clear-groups")


async def test_what_its_job_became_root_for_is_stop_failed_and_not_canceled(
    rootless: Rootless, sudo: tuple[str, ...]
) -> None:
    await rootless.worker(kill_wait=0.5)
    _, mark = await rootless.launch(1, "sleeps", through=sudo)
    (pid,) = alive(mark)
    try:
        row = await rootless.system.outcome_of(await rootless.system.publish(1, grace_seconds=0))

        assert row["outcome"] == "stop_failed"
        assert [survivor["pid"] for survivor in row["evidence"]["survivors"]] == [pid]
        assert (await rootless.system.run(1))["status"] == "canceling"
        assert (await rootless.system.dead_letter()).headers["x-reason"] == "stop_failed"
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_and_in_a_delegated_cgroup_it_is_killed(
    rootless: Rootless, cgroup: Path, sudo: tuple[str, ...]
) -> None:
    await rootless.worker(cgroup)
    _, mark = await rootless.launch(1, "sleeps", cgroup, through=sudo)

    evidence = await _canceled(rootless.system, 1, mark)

    assert (evidence["ended"], evidence["proof"]) == ("killed", "cgroup_empty")


async def _has_precedence(system: System, worker: Program) -> bool:
    return os.getpriority(os.PRIO_PROCESS, worker.process.pid) < 0


async def _stops_other_users_jobs(system: System, worker: Program) -> bool:
    await system.add_run(1)
    job = ("sh", "-c", "echo started; exec sleep 60")
    launched = await system.launch(1, *job, within=as_user(NOBODY))
    if await launched.line() != "started":  # refused
        return False
    row = await system.outcome_of(await system.publish(1))
    return bool(row["evidence"]["ended"] == "obeyed")


async def _finds_what_left_its_cgroup(system: System, worker: Program) -> bool:
    mark = system.new_mark()
    await system.add_run(2)
    launched = await system.launch(2, sys.executable, "-S", str(BAD_CHILD), "leaves_cgroup", mark)
    if await launched.line() != "ready":  # refused
        return False
    row = await system.outcome_of(await system.publish(2, grace_seconds=0))
    return bool(row["evidence"]["escaped"]) and not alive(mark)


NEEDED_FOR = {
    "sys_nice": _has_precedence,
    "kill": _stops_other_users_jobs,
    "sys_ptrace": _finds_what_left_its_cgroup,
}


@pytest.mark.parametrize("without", [None, *NEEDED_FOR])
async def test_the_units_capabilities_are_enough_and_each_is_needed(
    system: System, without: str | None
) -> None:
    if reason := why_no_cgroups():
        pytest.skip(reason)
    allowed = capabilities(WORKER_UNIT)
    assert sorted(allowed) == sorted(NEEDED_FOR)
    left = [name for name in allowed if name != without]

    worker = await system.worker(within=bounded(left), containment="cgroup")

    can = [name for name, it in NEEDED_FOR.items() if await it(system, worker)]
    assert sorted(can) == sorted(left)
