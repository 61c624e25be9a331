"""The jobs with containers that other tests cancel are what their names say, and leave nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.docker import tiny_image
from tests.support.docker.at_hand import DOCKER_HOST, why_no_engine
from tests.support.docker.client import client_environment
from tests.support.docker.jobs import (
    BUILDKIT_BUILD,
    CLASSIC_BUILD,
    COMPOSE,
    CREATED,
    IMAGE,
    JOBS,
    OWN_SIGNAL,
    PAUSED,
    RACING,
    RUN,
    TESTCONTAINERS,
    Job,
)
from tests.support.docker.own_engine import OwnEngine, own_engine, why_no_own_engine
from tests.support.docker.ryuk import have_ryuk
from tests.support.docker.started import started
from tests.support.rights.privileges import NOBODY
from tools.support.waiting import eventually

_WHY_NOT = why_no_engine(IMAGE)


@pytest.fixture
async def engine() -> AsyncIterator[OwnEngine]:
    if reason := why_no_own_engine():
        pytest.skip(reason)
    async with own_engine() as running:
        yield running


@pytest.mark.parametrize(
    "job", [job for job in JOBS if not job.needs_ryuk], ids=lambda job: job.name
)
async def test_a_job_is_ready_when_its_containers_run_and_nothing_of_it_is_left_in_the_end(
    engine: OwnEngine, job: Job
) -> None:
    async with started(job, engine.docker_host, tiny_image.NAME) as running:
        if job not in (RACING, CREATED):
            assert running.alive_in_containers() != []
        if job is not RACING:
            assert len(await running.engine.running(running.mark)) == job.containers
        assert running.process.returncode is None

    assert running.alive() == []
    async with started(CREATED, engine.docker_host, tiny_image.NAME) as other:
        assert await other.engine.containers(running.mark) == []
        assert await other.engine.networks(running.mark) == []
        assert await other.engine.volumes(running.mark) == []
        assert await other.engine.images(running.mark) == []


@pytest.mark.parametrize("job", [CLASSIC_BUILD, BUILDKIT_BUILD], ids=lambda job: job.name)
async def test_a_build_ends_with_its_client(engine: OwnEngine, job: Job) -> None:
    async with started(job, engine.docker_host, tiny_image.NAME) as running:
        await running.kill()

        await running.until_gone()


async def test_compose_makes_a_network_and_both_kinds_of_volumes(engine: OwnEngine) -> None:
    async with started(COMPOSE, engine.docker_host, tiny_image.NAME) as running:
        containers = await running.engine.containers(running.mark)
        assert len(await running.engine.networks(running.mark)) == 1
        assert len(await running.engine.volumes(running.mark)) == 1
        policies = {row["HostConfig"]["RestartPolicy"]["Name"] for row in containers}
        mounts = [mount["Name"] for row in containers for mount in row["Mounts"]]

    assert "always" in policies
    assert len(mounts) == 2


@pytest.mark.parametrize("job", [RUN, COMPOSE, BUILDKIT_BUILD], ids=lambda job: job.name)
async def test_a_job_of_another_user_has_a_client(
    engine: OwnEngine, tmp_path: Path, job: Job
) -> None:
    for directory in (engine.directory.parent, *tmp_path.parents[:3], tmp_path):
        directory.chmod(0o755)
    engine.socket.chmod(0o666)
    env = {"HOME": "/nonexistent", **client_environment(tmp_path)}

    async with started(job, engine.docker_host, tiny_image.NAME, env=env, user=NOBODY) as running:
        assert running.alive_in_containers() != []
        assert Path(f"/proc/{running.process.pid}").stat().st_uid == NOBODY


async def test_a_container_obeys_only_the_signal_that_it_has(engine: OwnEngine) -> None:
    async with started(OWN_SIGNAL, engine.docker_host, tiny_image.NAME) as running:
        (container,) = running.containers
        await running.engine.ask(f"/containers/{container}/kill?signal=SIGTERM", "POST")
        assert await running.engine.running(running.mark) == [container]
        await running.engine.ask(f"/containers/{container}/stop?t=30", "POST")

        shown = await running.engine.ask(f"/containers/{container}/json")
        assert shown["State"]["ExitCode"] == 7


async def test_a_paused_container_is_paused(engine: OwnEngine) -> None:
    async with started(PAUSED, engine.docker_host, tiny_image.NAME) as running:
        (container,) = await running.engine.containers(running.mark)
        assert container["State"]["Paused"] is True


async def test_racing_jobs_start_six_containers(engine: OwnEngine) -> None:
    async with started(RACING, engine.docker_host, tiny_image.NAME) as running:
        await eventually(
            lambda: running.engine.running(running.mark), lambda ids: len(ids) == 6, what="it"
        )


@pytest.mark.skipif(_WHY_NOT is not None, reason=str(_WHY_NOT))
async def test_ryuk_removes_what_a_job_with_testcontainers_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await have_ryuk(DOCKER_HOST)
    monkeypatch.setenv("RYUK_RECONNECTION_TIMEOUT", "0s")
    async with started(TESTCONTAINERS, DOCKER_HOST) as running:
        assert len(running.containers) == TESTCONTAINERS.containers
        assert len(running.alive_in_containers()) == 2
        await running.kill()

        await running.until_gone()
        await eventually(
            lambda: running.engine.containers(running.mark), lambda left: left == [], what="left"
        )
