"""What is left on the engine of runs that are over is removed, and nothing else is touched."""

import asyncio
from uuid import uuid4

import pytest

from tests.support.docker import jobs
from tests.support.docker.canceled import container_run, needs_engine
from tests.support.docker.left import LEAVES_CREATED, command_ends, leaving
from tests.support.docker.own_engine import OwnEngine
from tests.support.docker.stopped import is_canceled
from tools.support.system import System
from tools.support.waiting import eventually
from worker.docker.scope import LABEL

pytestmark = needs_engine

IMAGE = "run-cancel-test/tiny:1"


async def _docker(engine: OwnEngine, *command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *("docker", "--host", engine.docker_host, *command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode().strip()


async def _start(engine: OwnEngine, *options: str, image: str = IMAGE) -> str:
    """Start a container past the worker's socket; its id."""
    return await _docker(engine, "run", "--detach", *options, image, "sleep", "1000")


async def _running(engine: OwnEngine) -> set[str]:
    return set((await _docker(engine, "ps", "--quiet", "--no-trunc")).split())


async def _scope(system: System) -> tuple[str, str]:
    """The label and the cgroup parent of the containers of run 1."""
    run = await system.run(1)
    return f"{LABEL}={run['launch_id']}", run["containers_in"]


async def test_of_a_run_that_is_over_what_runs_is_killed_and_removed_and_logged(
    system: System, engine: OwnEngine
) -> None:
    worker = await system.worker(docker=engine.docker_host, grace_seconds=0.5)
    async with container_run(system, engine, jobs.DETACHED) as run:
        await is_canceled(system, run, await system.publish(1))
        await run.until_removed()
        label, parent = await _scope(system)
        await worker.stop()
        # As when the engine restores them from a snapshot of its directory.
        own = ("--label", label, "--cgroup-parent", parent, "--env", f"TEST_MARK={run.mark}")
        await _start(engine, *own, "--restart", "always")

        worker = await system.worker(docker=engine.docker_host)

        event = await worker.event("container_swept", run_id=1)
        assert event["image"] == IMAGE
        await run.until_removed()
        assert run.alive() == []


async def test_what_an_earlier_worker_has_let_pass_is_removed_at_the_end_of_the_run(
    system: System, engine: OwnEngine
) -> None:
    worker = await system.worker(docker=engine.docker_host)
    async with leaving(system, engine, LEAVES_CREATED) as run:
        await worker.stop()
        await system.worker(docker=engine.docker_host)
        assert len(await run.engine.containers(run.mark)) == 1

        await command_ends(run)

        assert await run.launched.exit_code() == 0
        # Well before the sweep looks by itself.
        await run.until_removed()


async def test_what_only_looks_like_it_belongs_to_a_run_is_not_touched(
    system: System, engine: OwnEngine
) -> None:
    worker = await system.worker(docker=engine.docker_host, grace_seconds=0.5)
    async with container_run(system, engine, jobs.DETACHED) as run:
        label, parent = await _scope(system)
        # An image that is made of a container has its labels.
        await _docker(engine, "commit", run.containers[0], "committed:1")
        strangers = {
            await _start(engine, image="committed:1"),
            await _start(engine, "--label", f"{LABEL}={uuid4()}"),
            await _start(
                engine, "--label", f"{LABEL}=no launch", "--cgroup-parent", "/run-cancel/x"
            ),
            await _start(engine, "--label", label),
            await _start(engine, "--name", "plain"),
        }
        outcome = await system.outcome_of(await system.publish(1))
        assert outcome["outcome"] == "canceled"
        assert [each["id"] for each in outcome["evidence"]["containers"]] == [*run.containers]
        await _gone(engine, run.containers[0])
        own = ("--label", label, "--cgroup-parent", parent)
        await worker.stop()
        ours = await _start(engine, *own)

        worker = await system.worker(docker=engine.docker_host)

        await worker.event("container_swept", run_id=1)
        await _gone(engine, ours)
        assert await _running(engine) == strangers


@pytest.mark.parametrize("why", ["kept", "running", "of another host"])
async def test_containers_of_runs_that_may_have_some_are_not_touched(
    system: System, engine: OwnEngine, why: str
) -> None:
    worker = await system.worker(docker=engine.docker_host)
    leftovers = "keep" if why == "kept" else "stop"
    async with leaving(system, engine, leftovers=leftovers) as run:
        if why == "kept":
            await command_ends(run)
            assert await run.launched.exit_code() == 0
        await worker.stop()
        if why == "of another host":
            # A run of an engine that two hosts use: only its own host knows whether it is over.
            await system.database.execute(
                "UPDATE runs SET status = 'error', finished_at = now(), error = 'lost',"
                """ loss = '{"cause": "launcher_died", "proof": "scans_empty"}', host = 'other'"""
            )
        before = run.alive_in_containers()

        # Another run, which is over, shows that the sweep has looked.
        over = str(uuid4())
        await system.add_run(2)
        await system.database.execute(
            "UPDATE runs r SET status = 'pass', exit_code = 0, finished_at = now(),"
            " (started_at, host, boot_id, pid, start_ticks, launcher_pid, launcher_start_ticks,"
            "  uid, containment, pid_namespace, containers_in, launch_id)"
            " = (SELECT started_at, $2, boot_id, pid + 1, start_ticks, launcher_pid,"
            "           launcher_start_ticks, uid, 'session', pid_namespace, '/run-cancel/over',"
            "           $1::text::uuid FROM runs WHERE run_id = 1)"
            " WHERE run_id = 2",
            over,
            system.host,
        )
        await _start(engine, "--label", f"{LABEL}={over}", "--cgroup-parent", "/run-cancel/over")
        worker = await system.worker(docker=engine.docker_host)
        await worker.event("container_swept", run_id=2)

        assert run.alive_in_containers() == before
        assert not [e for e in worker.events if e.get("run_id") == 1 and "swept" in e["event"]]


async def _gone(engine: OwnEngine, container: str) -> None:
    async def still_there() -> str:
        return await _docker(engine, "ps", "--all", "--quiet", "--filter", f"id={container}")

    await eventually(still_there, lambda found: not found, what="the container")
