"""Whose a container is: the kernel tells who asks, and the job's own words count for nothing."""

import json
from pathlib import Path

from tests.support.docker import jobs, tiny_image
from tests.support.docker.canceled import container_run, needs_engine
from tests.support.docker.client import client_environment
from tests.support.docker.direct import DEFAULT
from tests.support.docker.engine import UnixConnection, requires_engine
from tests.support.docker.own_engine import OwnEngine
from tests.support.docker.ryuk import have_ryuk
from tests.support.rights.privileges import NOBODY, as_user
from tools.support.system import System

pytestmark = needs_engine


def _ask(socket: Path, method: str, path: str, body: object = None) -> tuple[int, str]:
    connection = UnixConnection(socket)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _docker_socket(system: System) -> Path:
    return system.socket().with_name("docker.sock")


async def test_a_process_outside_of_every_run_is_refused(system: System, engine: OwnEngine) -> None:
    await system.worker(docker=engine.docker_host)

    status, body = _ask(_docker_socket(system), "GET", "/_ping")

    assert status == 403
    assert json.loads(body) == {
        "message": "run-cancel: only the processes of a run may use this socket"
    }


async def test_a_job_without_any_right_on_the_engine_has_the_socket(
    system: System, engine: OwnEngine
) -> None:
    await system.worker(docker=engine.docker_host, containment="cgroup", grace_seconds=0.5)
    engine.socket.chmod(0o600)
    environment = client_environment(system.directory)
    own = [f"{name}={value}" for name, value in environment.items()]
    job = jobs.DETACHED
    async with container_run(system, engine, job, wrapper=("env", *own, *as_user(NOBODY))) as run:
        assert len(run.alive_in_containers()) == 1

        outcome = await system.outcome_of(await system.publish(1))

        assert run.alive() == []
        assert outcome["outcome"] == "canceled"
        assert len(outcome["evidence"]["containers"]) == 1


async def test_a_job_of_a_run_cannot_ask_as_another_run(system: System, engine: OwnEngine) -> None:
    await system.worker(docker=engine.docker_host)
    async with container_run(system, engine, jobs.DETACHED) as victim:
        launch = str((await system.run(1))["launch_id"])
        job = f"""
            export CANCEL_LAUNCH_ID={launch}
            docker run --detach --label run-cancel.launch={launch} --cgroup-parent /elsewhere \\
                --name {victim.mark}-second {tiny_image.NAME} sleep 1000 >&2
            docker exec {victim.mark} true && echo executed || echo refused
            docker start {victim.mark} && echo started || echo refused
            exec sleep 1000
        """
        await system.add_run(2)
        launched = await system.launch(2, "sh", "-euc", job)
        assert [await launched.line(), await launched.line()] == ["refused", "refused"]

        outcome = await system.outcome_of(await system.publish(2))

        assert [each["name"] for each in outcome["evidence"]["containers"]] == [
            f"{victim.mark}-second"
        ]
        assert len(victim.alive_in_containers()) == 1


@requires_engine
async def test_what_a_container_of_the_run_starts_belongs_to_the_run(
    system: System,
) -> None:
    """Ryuk connects from a container, to which the socket is mounted."""
    await have_ryuk(DEFAULT)
    await system.worker(docker=DEFAULT, grace_seconds=1)
    async with container_run(system, DEFAULT, jobs.TESTCONTAINERS, image=jobs.IMAGE) as run:
        assert len(run.containers) == jobs.TESTCONTAINERS.containers

        outcome = await system.outcome_of(await system.publish(1))

        assert run.alive() == []
        assert outcome["evidence"]["proof"] == "cgroup_empty"
        await run.until_removed()
