"""A process that has a recorded pid, but is not the recorded process, is never signaled."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast
from uuid import uuid4

import pytest

from tests.support.rights.namespaces import why_no_namespaces
from tests.support.stops.stoppable import (
    Stoppable,
    cgroup_of_its_own,
    identity_of,
    kin_of,
    recorded_as,
    stop_plan,
    stoppable,
)
from tools.support.processes import alive, state_of, until_gone
from tools.support.waiting import eventually
from worker.evidence import Ended
from worker.processes import scan
from worker.processes.cgroup import Cgroup
from worker.processes.identity import Identity, ProcessStat, read_stat
from worker.stop import ladder
from worker.stop.cgroup_tree import CgroupTree
from worker.stop.run_tree import tree_of


@pytest.fixture
async def bystander() -> AsyncIterator[Stoppable]:
    """A session leader with a child: either would die of a stop signal."""
    async with stoppable("obeys", "session") as process:
        pids = alive(process.mark)
        assert len(pids) == 2
        yield process
        assert alive(process.mark) == pids
        # One that was stopped would never sleep. One may still be at its start, and runs.
        await eventually(lambda: {state_of(pid) for pid in pids} == {"S"}, what="asleep")


def formerly(pid: int) -> Identity:
    """A process that had `pid` before the one that has it now."""
    return Identity(pid, identity_of(pid).start_ticks - 1)


@pytest.mark.parametrize("grace", [5, -1], ids=["asked", "killed"])
async def test_a_gone_run_is_not_found_in_the_processes_that_have_its_pids_now(
    bystander: Stoppable, grace: float
) -> None:
    gone = formerly(bystander.process.pid)
    recorded = replace(
        recorded_as(gone, uuid4()),
        launcher_pid=gone.pid,
        launcher_start_ticks=gone.start_ticks,
    )
    tree = tree_of(recorded)

    evidence = await ladder.stop(tree, stop_plan(grace), asyncio.Event())

    tree.close()
    assert (evidence.ended, evidence.signals) == (Ended.ALREADY_GONE, ())


@pytest.mark.parametrize("grace", [5, -1], ids=["asked", "killed"])
async def test_what_is_left_of_a_run_is_stopped_without_the_process_that_has_its_leaders_pid(
    bystander: Stoppable, grace: float
) -> None:
    async with stoppable("obeys", "session") as run:
        gone = formerly(bystander.process.pid)
        recorded = replace(
            recorded_as(gone, run.recorded.launch_id),
            launcher_pid=gone.pid,
            launcher_start_ticks=gone.start_ticks,
        )
        tree = tree_of(recorded)

        evidence = await ladder.stop(tree, stop_plan(grace), asyncio.Event())

        tree.close()
        await until_gone(run.mark, deadline=0)
    assert evidence.signals[0].processes == 2


async def test_a_process_of_the_run_that_has_its_dead_launchers_pid_is_stopped() -> None:
    async with stoppable("sleeps", "session") as run:
        gone = formerly(run.process.pid)
        tree = tree_of(
            replace(run.recorded, launcher_pid=gone.pid, launcher_start_ticks=gone.start_ticks)
        )

        evidence = await ladder.stop(tree, stop_plan(5), asyncio.Event())

        tree.close()
        await until_gone(run.mark, deadline=0)
    assert evidence.ended is Ended.OBEYED


async def test_a_pid_that_left_the_cgroup_between_listing_and_signaling_is_let_alone(
    bystander: Stoppable, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stoppable("sleeps", "cgroup", uid=65534) as run:
        members, left = Cgroup.members, [bystander.process.pid]
        monkeypatch.setattr(
            # In the first listing alone.
            Cgroup,
            "members",
            lambda group, **_: [*members(group), *(left.pop() for _ in left[:])],
        )

        evidence = await ladder.stop(run.tree, stop_plan(5), asyncio.Event())

    assert evidence.ended is Ended.OBEYED


async def test_a_pid_reused_since_the_scan_for_escaped_ones_is_let_alone(
    bystander: Stoppable, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = cast(ProcessStat, read_stat(bystander.process.pid))
    stale = replace(stat, identity=formerly(stat.identity.pid))
    monkeypatch.setattr(scan, "find_marked", lambda _: scan.Scan([stale], []))
    with cgroup_of_its_own() as cgroup:
        tree = CgroupTree(cgroup, kin_of(bystander.recorded), may_escape=True)

        evidence = await ladder.stop(tree, stop_plan(5), asyncio.Event())

        tree.close()
    assert (evidence.ended, evidence.escaped) == (Ended.ALREADY_GONE, ())


@pytest.mark.skipif(why_no_namespaces() is not None, reason=str(why_no_namespaces()))
async def test_a_process_that_really_got_the_leaders_pid_is_let_alone() -> None:
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, "-m", "tests.support.stops.reused_pid"),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()

    assert json.loads(out) == {
        "same_pid": True,
        "opened": False,
        "ended": "already_gone",
        "signals": 0,
        "bystander_exit_code": None,
    }
