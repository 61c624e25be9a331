"""A canceled run leaves no container, however its job has started it."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.docker import jobs
from tests.support.docker.canceled import container_run, needs_engine
from tests.support.docker.jobs import JOBS, Job
from tests.support.docker.own_engine import OwnEngine
from tools.support.processes import PROVED_BY
from tools.support.system import System

pytestmark = needs_engine

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])
_NO_CONTAINER = (jobs.BUILDKIT_BUILD, jobs.CLASSIC_BUILD, jobs.CREATED)
"""The engine lists none that runs, or it is gone with the build."""

_FIRST_NAMESPACE: Final = Path("cgroup:[4026531835]")


@CONTAINMENTS
@pytest.mark.parametrize(
    "job", [job for job in JOBS if not job.needs_ryuk], ids=lambda job: job.name
)
async def test_nothing_is_alive_once_the_run_is_canceled(
    system: System, engine: OwnEngine, job: Job, containment: str
) -> None:
    await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=1.5)
    async with container_run(system, engine, job) as run:
        outcome = await system.outcome_of(await system.publish(1))

        assert run.alive() == []
        evidence = outcome["evidence"]
        assert outcome["outcome"] == "canceled"
        assert evidence["proof"] in _proofs(job, containment)
        if job not in (*_NO_CONTAINER, jobs.RACING):
            assert {each["id"] for each in evidence["containers"]} == set(run.containers)
        await run.until_removed()


def _proofs(job: Job, containment: str) -> tuple[str, ...]:
    """In a cgroup namespace of its own, a worker knows only by a container that it has the same
    one as the engine.
    """
    is_first = Path("/proc/self/ns/cgroup").readlink() == _FIRST_NAMESPACE
    may_have_none = not is_first and job in (*_NO_CONTAINER, jobs.RACING)
    return (PROVED_BY[containment], *(("engine_reported",) if may_have_none else ()))
