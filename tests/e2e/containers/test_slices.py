"""With the systemd driver, the containers of a run are in a slice of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.docker import jobs
from tests.support.docker.canceled import container_run
from tests.support.docker.jobs import Job
from tests.support.docker.own_engine import Driver, OwnEngine, own_engine, why_no_own_engine
from tools.support.processes import PROVED_BY
from tools.support.system import System
from tools.support.waiting import eventually
from worker.processes.cgroup import mount_point

_WHY_NOT = why_no_own_engine(Driver.SYSTEMD)

pytestmark = pytest.mark.skipif(_WHY_NOT is not None, reason=str(_WHY_NOT))


@pytest.fixture
async def engine() -> AsyncIterator[OwnEngine]:
    async with own_engine(Driver.SYSTEMD) as running:
        yield running


def _slice(name: str) -> Path:
    mount = mount_point()
    assert mount is not None
    return mount / name


@pytest.mark.parametrize("containment", ["cgroup", "session"])
@pytest.mark.parametrize("job", [jobs.DETACHED, jobs.DEAF], ids=lambda job: job.name)
async def test_the_slice_is_recorded_with_the_run_and_removed_after_a_cancel(
    system: System, engine: OwnEngine, job: Job, containment: str
) -> None:
    await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=1)
    async with container_run(system, engine, job) as run:
        row = await system.run(1)
        name = str(row["containers_in"])
        assert name == f"runcancel{row['launch_id'].hex}.slice"
        assert {each.name for each in _slice(name).iterdir() if each.is_dir()} == {
            f"docker-{container}.scope" for container in run.containers
        }

        outcome = await system.outcome_of(await system.publish(1))

        assert run.alive() == []
        assert (outcome["outcome"], outcome["evidence"]["proof"]) == (
            "canceled",
            PROVED_BY[containment],
        )
        await run.until_removed()
        await eventually(lambda: not _slice(name).exists(), what="whether the slice is gone")


async def test_the_slice_is_removed_after_a_run_that_ends_by_itself(
    system: System, engine: OwnEngine
) -> None:
    await system.worker(docker=engine.docker_host, leftovers_grace_seconds=0.5)
    job = Job("ends", 'run --detach "$@" "$image" sleep 1000 >&2\necho ready')
    async with container_run(system, engine, job) as run:
        assert await run.launched.exit_code() == 0

        row = await system.run(1)
        assert row["status"] == "pass"
        assert run.alive() == []
        await run.until_removed()
        await eventually(
            lambda: not _slice(str(row["containers_in"])).exists(),
            what="whether the slice is gone",
        )
