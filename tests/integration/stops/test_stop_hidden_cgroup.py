"""A cgroup that cannot be seen proves nothing; one that was removed does."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from shared.states import Containment, Proof
from tests.support.stops.stoppable import cgroup_of_its_own, stop_plan, stoppable
from tools.support.processes import until_gone, why_no_cgroups
from worker.evidence import Ended
from worker.stop.run_tree import stop_tree


@pytest.mark.parametrize("elsewhere", ["/sys/fs/cgroup/gone/run-1", "{parent}/run-1"])
async def test_a_tree_is_stopped_though_its_cgroup_is_not_where_it_was(
    tmp_path: Path, elsewhere: str
) -> None:
    async with stoppable("leaves_children", "session") as started:
        hidden = replace(
            started.recorded,
            containment=Containment.CGROUP,
            cgroup=elsewhere.format(parent=tmp_path),
        )

        evidence = await stop_tree(hidden, stop_plan(grace=0), asyncio.Event())

        await until_gone(started.mark, deadline=0)
        assert (evidence.ended, evidence.proof) == (Ended.KILLED, Proof.SCANS_EMPTY)


@pytest.mark.skipif(why_no_cgroups() is not None, reason=str(why_no_cgroups()))
async def test_a_cgroup_that_was_removed_was_empty() -> None:
    async with stoppable("sleeps", "session") as started:
        started.process.kill()
        await started.process.wait()
        with cgroup_of_its_own() as cgroup:
            removed = replace(
                started.recorded, containment=Containment.CGROUP, cgroup=f"{cgroup.path}-removed"
            )

            evidence = await stop_tree(removed, stop_plan(grace=0), asyncio.Event())

        assert (evidence.ended, evidence.proof) == (Ended.ALREADY_GONE, Proof.CGROUP_EMPTY)
