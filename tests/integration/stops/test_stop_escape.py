"""Jobs that can leave their cgroup are looked for everywhere; those that cannot cost no scan."""

import asyncio
import os
import select
from typing import cast
from uuid import uuid4

import pytest

from tests.support.stops.stoppable import (
    cgroup_of_its_own,
    identity_of,
    kin_of,
    recorded_as,
    stop_plan,
    stoppable,
)
from tools.support.processes import alive, until_gone
from worker.evidence import Ended
from worker.processes import scan
from worker.processes.identity import ProcessStat
from worker.stop import ladder
from worker.stop.cgroup_tree import CgroupTree

NOBODY = 65534


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that /proc is gone through."""
    made: list[str] = []
    all_processes = scan._all_processes

    def counted() -> list[ProcessStat]:
        made.append("scan")
        return list(all_processes())

    monkeypatch.setattr(scan, "_all_processes", counted)
    return made


@pytest.mark.parametrize("kind", ["obeys", "tree"])
async def test_an_unprivileged_job_is_stopped_without_looking_through_proc(
    kind: str, scans: list[str]
) -> None:
    async with stoppable(kind, "cgroup", uid=NOBODY) as run:
        evidence = await ladder.stop(run.tree, stop_plan(grace=0.2), asyncio.Event())
        await until_gone(run.mark, deadline=0)

    assert evidence.ended in (Ended.OBEYED, Ended.KILLED)
    assert scans == []


async def test_a_root_job_outside_of_its_cgroup_is_killed_and_reported(scans: list[str]) -> None:
    async with stoppable("leaves_cgroup", "cgroup") as run:
        assert run.recorded.cgroup is not None
        (pid,) = alive(run.mark)
        evidence = await ladder.stop(run.tree, stop_plan(grace=0.2), asyncio.Event())
        await until_gone(run.mark, deadline=0)

    assert evidence.ended is Ended.KILLED
    assert [process.pid for process in evidence.escaped] == [pid]
    assert [sent.processes for sent in evidence.signals] == [1, 1, 1]
    assert scans


async def test_a_process_that_ends_during_the_scan_has_not_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with stoppable("sleeps", "cgroup") as run:
        found = scan.find_marked(kin_of(run.recorded))
        assert len(found.live) == 1
        run.process.kill()
        await run.process.wait()
        monkeypatch.setattr(scan, "find_marked", lambda _: found)

        assert await run.tree.is_gone()

        assert run.tree.escaped() == ()


async def test_a_threaded_cgroup_below_the_runs_own_hides_nothing() -> None:
    async with stoppable("threads_cgroup", "cgroup", uid=NOBODY) as run:
        evidence = await ladder.stop(run.tree, stop_plan(grace=0.2), asyncio.Event())
        await until_gone(run.mark, deadline=0)

    assert [sent.processes for sent in evidence.signals] == [1, 1, 1]


async def test_a_cgroup_that_was_removed_meanwhile_is_an_empty_one() -> None:
    with cgroup_of_its_own() as cgroup:
        leader = identity_of(os.getpid())
        tree = CgroupTree(cgroup, kin_of(recorded_as(leader, uuid4())), may_escape=False)
        cgroup.remove()
        evidence = await ladder.stop(tree, stop_plan(grace=30), asyncio.Event())
        assert await tree.kill() == 0
        tree.close()

    assert evidence.ended is Ended.ALREADY_GONE


def test_a_cgroup_removed_while_its_watch_begins_is_an_empty_one() -> None:
    with cgroup_of_its_own() as cgroup, select.epoll() as poll:

        class Remover:
            def register(self, fd: int, events: int) -> None:
                poll.register(fd, events)
                cgroup.remove()

        fd = cgroup.watch(cast(select.epoll, Remover()))

        assert not cgroup.is_populated()
        assert fd is not None
        os.close(fd)
