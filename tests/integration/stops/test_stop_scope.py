"""Which processes get the stop signal: the whole tree, or its leader alone."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from shared.states import StopScope
from tests.support.stops import wrapped
from tests.support.stops.stoppable import Stoppable, stop_plan, stoppable
from tools.support.processes import KILLED_BY, PROVED_BY, until_gone, until_stopped
from tools.support.waiting import eventually
from worker.evidence import Ended, Evidence
from worker.processes.identity import read_stat
from worker.stop import ladder

pytestmark = pytest.mark.parametrize("containment", ["cgroup", "session"])

SCRIPT: Final = Path(wrapped.__file__)


async def stop(run: Stoppable, scope: StopScope, grace: float = 60) -> tuple[Evidence, list[str]]:
    """The evidence, and what the processes said."""
    async with asyncio.timeout(20):
        evidence = await ladder.stop(run.tree, stop_plan(grace, scope=scope), asyncio.Event())
        await until_gone(run.mark, deadline=0)
        assert run.process.stdout is not None
        return evidence, (await run.process.stdout.read()).decode().splitlines()


def sent(evidence: Evidence) -> list[tuple[str, str, int]]:
    return [(each.signal, each.to.value, each.processes) for each in evidence.signals]


async def test_a_program_below_a_forwarding_wrapper_gets_one_signal_if_the_leader_alone_does(
    containment: str,
) -> None:
    async with stoppable("wrapper", containment, script=SCRIPT) as run:
        evidence, said = await stop(run, StopScope.LEADER)

    assert said == ["cleaning up", "clean"]
    assert sent(evidence) == [("SIGTERM", "leader", 1), ("SIGCONT", "tree", 2)]
    assert (evidence.ended, evidence.proof) == (Ended.OBEYED, PROVED_BY[containment])


async def test_it_gets_a_second_one_if_the_whole_tree_does(containment: str) -> None:
    async with stoppable("wrapper", containment, script=SCRIPT) as run:
        evidence, said = await stop(run, StopScope.TREE)

    assert said == ["cleaning up", "exit at once"]
    assert sent(evidence) == [("SIGTERM", "tree", 2), ("SIGCONT", "tree", 2)]


async def test_a_stopped_leader_and_what_it_passes_the_signal_on_to_are_continued(
    containment: str,
) -> None:
    async with stoppable("stopped_wrapper", containment, script=SCRIPT) as run:
        await until_stopped(run.mark)
        evidence, said = await stop(run, StopScope.LEADER)

    assert said == ["clean"]
    assert evidence.ended is Ended.OBEYED


async def test_what_is_left_at_the_deadline_is_killed_however_deep(containment: str) -> None:
    async with stoppable("deaf_wrapper", containment, script=SCRIPT) as run:
        evidence, said = await stop(run, StopScope.LEADER, grace=0.2)

    assert said == ["asked"]
    *asked, last = sent(evidence)
    assert asked[:2] == [("SIGTERM", "leader", 1), ("SIGCONT", "tree", 2)]
    assert last == ("SIGKILL", "tree", 2)
    assert [name for name, _, _ in asked[2:]] == KILLED_BY[containment][:-1]
    assert (evidence.ended, evidence.proof) == (Ended.KILLED, PROVED_BY[containment])


async def test_without_a_leader_the_whole_tree_gets_the_signal(containment: str) -> None:
    async with stoppable("deaf_wrapper", containment, script=SCRIPT) as run:
        run.process.kill()
        await eventually(partial(_state, run.process.pid), lambda state: state in (None, "Z"))
        evidence, said = await stop(run, StopScope.LEADER)

    assert said == ["cleaning up", "clean"]
    assert sent(evidence) == [("SIGTERM", "tree", 1), ("SIGCONT", "tree", 1)]
    assert evidence.ended is Ended.OBEYED


def _state(pid: int) -> str | None:
    stat = read_stat(pid)
    return stat.state if stat else None
