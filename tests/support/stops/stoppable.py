"""A real process tree and what stops it, without a launcher, a broker or a database."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from time import monotonic
from uuid import UUID, uuid4

import pytest

from shared.launcher_environment import LAUNCH_VARIABLE
from shared.runs import RunProcess
from shared.states import Containment, StopScope
from tools.support.processes import BAD_CHILD, alive, why_no_cgroups
from worker.processes.cgroup import Cgroup, runs_root
from worker.processes.identity import Identity, boot_id, pid_namespace, read_stat
from worker.processes.scan import Kinship
from worker.stop.ladder import StopPlan
from worker.stop.run_tree import tree_of
from worker.stop.tree import Tree


@dataclass(frozen=True, slots=True)
class Stoppable:
    process: asyncio.subprocess.Process
    mark: str
    recorded: RunProcess
    tree: Tree


def stop_plan(
    grace: float,
    stop_signal: Signals = SIGTERM,
    kill_wait: float = 10,
    scope: StopScope = StopScope.TREE,
) -> StopPlan:
    return StopPlan(stop_signal, monotonic() + grace, kill_wait, scope)


def identity_of(pid: int) -> Identity:
    stat = read_stat(pid)
    assert stat is not None
    return stat.identity


@contextmanager
def cgroup_of_its_own() -> Iterator[Cgroup]:
    if reason := why_no_cgroups():
        pytest.skip(reason)
    root = runs_root(f"test-{uuid4().hex}")
    cgroup = Cgroup(root / "run")
    cgroup.create()
    try:
        yield cgroup
    finally:
        cgroup.remove()
        root.rmdir()


def recorded_as(
    leader: Identity, launch_id: UUID, cgroup: Cgroup | None = None, uid: int = 0
) -> RunProcess:
    """What the database has of a run whose launcher is dead, with its pid now the test's own."""
    return RunProcess(
        host="test",
        boot_id=boot_id(),
        pid=leader.pid,
        start_ticks=leader.start_ticks,
        launcher_pid=os.getpid(),
        launcher_start_ticks=1,
        uid=uid,
        launch_id=launch_id,
        containment=Containment.CGROUP if cgroup else Containment.SESSION,
        cgroup=str(cgroup.path) if cgroup else None,
        pid_namespace=pid_namespace(),
        cgroup_inode=cgroup.inode() if cgroup else None,
    )


def kin_of(recorded: RunProcess) -> Kinship:
    """By what scans know the run's processes; its launcher is dead."""
    return Kinship(
        leader=Identity(recorded.pid, recorded.start_ticks),
        launcher=Identity(recorded.launcher_pid, recorded.launcher_start_ticks),
        launch_id=recorded.launch_id,
        uid=recorded.uid,
        adopts=False,
    )


@asynccontextmanager
async def stoppable(
    kind: str, containment: str, uid: int = 0, script: Path = BAD_CHILD
) -> AsyncIterator[Stoppable]:
    """A bad child that is ready, in a session and perhaps a cgroup of its own; gone afterwards."""
    if containment == "cgroup":
        with cgroup_of_its_own() as cgroup:
            async with _started(script, kind, cgroup, uid) as started:
                yield started
    else:
        async with _started(script, kind, None, uid) as started:
            yield started


@asynccontextmanager
async def _started(
    script: Path, kind: str, cgroup: Cgroup | None, uid: int
) -> AsyncIterator[Stoppable]:
    mark, launch_id = f"mark-{uuid4().hex}", uuid4()
    procs = None if cgroup is None else cgroup.path / "cgroup.procs"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-S", str(script), kind, mark),
        env={**os.environ, LAUNCH_VARIABLE: str(launch_id)},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=None if procs is None else lambda: _enter(procs),
    )
    tree: Tree | None = None
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"ready\n"
        recorded = recorded_as(identity_of(process.pid), launch_id, cgroup, uid)
        tree = tree_of(recorded)
        yield Stoppable(process, mark, recorded, tree)
    finally:
        for pid in alive(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        async with asyncio.timeout(20):
            await process.wait()
        if tree is not None:
            tree.close()


def _enter(procs: Path) -> None:
    procs.write_text("0")
