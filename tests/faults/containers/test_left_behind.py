"""A command ends by itself and leaves containers, while engines and workers come and go."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.docker import marked
from tests.support.docker.canceled import needs_engine
from tests.support.docker.left import command_ends, leaving
from tests.support.docker.own_engine import OwnEngine
from tools.support.processes import PROVED_BY
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = needs_engine

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])
SLACK = timedelta(seconds=1)


async def _passed(system: System) -> Json:
    """Wait until the exit code is recorded; what is then on record as left behind."""
    await system.status_becomes(1, "pass")
    return await system.left_behind(1)


@CONTAINMENTS
async def test_they_are_stopped_before_the_exit_code_is_recorded(
    system: System, engine: OwnEngine, containment: str
) -> None:
    await system.worker(
        docker=engine.docker_host, containment=containment, leftovers_grace_seconds=1
    )
    async with leaving(system, engine) as run:
        await command_ends(run)

        left = await _passed(system)

        assert run.alive() == []
        assert (left["number"], left["containers_number"]) == (0, 2)
        assert {each["id"] for each in left["containers_found"]} == set(run.containers)
        assert {each["id"] for each in left["containers"]} == set(run.containers)
        assert (left["ended"], left["proof"]) == ("killed", PROVED_BY[containment])
        assert await run.launched.exit_code() == 0
        assert "2 containers" in await run.launched.errors()
        await run.until_removed()


@CONTAINMENTS
@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_the_engine_goes_away_meanwhile(
    system: System, engine: OwnEngine, containment: str, fault: str
) -> None:
    await system.worker(
        docker=engine.docker_host, containment=containment, leftovers_grace_seconds=1
    )
    async with leaving(system, engine) as run:
        await command_ends(run)
        deadline = datetime.fromisoformat((await system.left_behind(1))["deadline"])
        if fault == "killed":
            await engine.kill()
        else:
            engine.freeze()

        await marked.until_gone(run.mark, run.containers)
        assert timedelta(0) <= datetime.now(UTC) - deadline < SLACK
        assert (await system.run(1))["status"] == "running"
        if fault == "killed":
            await engine.start()  # which starts them again
        else:
            engine.thaw()

        left = await _passed(system)
        assert run.alive() == []
        assert (left["ended"], left["proof"]) == ("killed", PROVED_BY[containment])
        await run.until_removed()


async def test_the_engine_is_away_when_the_command_ends(system: System, engine: OwnEngine) -> None:
    await system.worker(docker=engine.docker_host, leftovers_grace_seconds=0.5)
    async with leaving(system, engine) as run:
        await engine.kill()
        await command_ends(run)
        await eventually(
            lambda: len(run.alive()) - len(run.alive_in_containers()),
            lambda number: number == 0,
            what="the number of processes of its command",
        )
        await run.until_dead(5)  # the engine delays no kill
        assert (await system.run(1))["status"] == "running"

        await engine.start()

        left = await _passed(system)
        assert run.alive() == []
        assert left["proof"] == PROVED_BY["cgroup"]
        assert await run.launched.exit_code() == 0


@CONTAINMENTS
async def test_the_worker_is_killed_meanwhile(
    system: System, engine: OwnEngine, containment: str
) -> None:
    env = {"CANCEL_DOCKER": engine.docker_host, "CANCEL_CONTAINMENT": containment}
    worker = await system.worker(env=env, leftovers_grace_seconds=3)
    async with leaving(system, engine) as run:
        await command_ends(run)
        before = await system.left_behind(1)
        await worker.kill()

        await system.worker(env=env, leftovers_grace_seconds=60)

        await marked.until_gone(run.mark, run.containers)
        late = datetime.now(UTC) - datetime.fromisoformat(before["deadline"])
        assert timedelta(0) <= late < SLACK
        left = await _passed(system)
        assert {name: left[name] for name in before} == before
        assert (left["ended"], left["proof"]) == ("killed", PROVED_BY[containment])
        await run.until_removed()


@CONTAINMENTS
@pytest.mark.parametrize("is_away", [False, True], ids=["engine", "engine_away"])
async def test_the_launcher_is_killed(
    system: System, engine: OwnEngine, containment: str, is_away: bool
) -> None:
    await system.worker(docker=engine.docker_host, containment=containment)
    async with leaving(system, engine) as run:
        if is_away:
            await engine.kill()
        run.launched.kill()

        await system.status_becomes(1, "error")
        await marked.until_gone(run.mark, run.containers, deadline=2)
        if is_away:
            assert "proof" not in str((await system.run(1))["loss"])
            await engine.start()

        await eventually(
            lambda: system.database.fetchval("SELECT loss ->> 'proof' FROM runs"),
            lambda proof: proof == PROVED_BY[containment],
            what="the proof",
        )
        assert run.alive() == []
        await run.until_removed()
