"""A worker ends at each step of a stop; the next one goes on where it was."""

import signal
from datetime import timedelta
from typing import Any

import pytest

from tests.support.docker import jobs, marked
from tests.support.docker.between import between
from tests.support.docker.canceled import container_run, needs_engine
from tests.support.docker.jobs import Job
from tests.support.docker.own_engine import OwnEngine
from tests.support.docker.stopped import dies_at_its_deadline, is_canceled
from tools.support.processes import PROVED_BY
from tools.support.program import Program
from tools.support.system import System

pytestmark = needs_engine

CONTAINMENTS = pytest.mark.parametrize("containment", ["cgroup", "session"])
ENDS = pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])

GOES_ON = Job(
    "goes_on",
    """
trap '' TERM
docker run --detach --name "$mark" --restart always --env TEST_MARK="$mark" "$@" \\
    "$image" sleep 1000 >&2
echo ready
while :; do
    docker run --detach --env TEST_MARK="$mark" "$@" "$image" sleep 1000 >&2 || sleep 0.1
done
""",
)
"""Asks for one container after the other, and cannot be asked to end."""
GRACE = 3.0
SWEEP = "GET .*run-cancel.launch%22"
"""The call with which a sweep begins: for all launches, not for one."""


async def _worker(system: System, engine: OwnEngine, containment: str, **settings: Any) -> Program:
    return await system.worker(
        env={"CANCEL_DOCKER": engine.docker_host, "CANCEL_CONTAINMENT": containment}, **settings
    )


@CONTAINMENTS
@ENDS
async def test_in_the_grace_period_the_gate_stands_again_and_the_deadline_is_the_same(
    system: System, engine: OwnEngine, containment: str, signum: signal.Signals
) -> None:
    worker = await _worker(system, engine, containment, worker_shutdown_timeout=0.1)
    async with container_run(system, engine, GOES_ON) as run:
        command_id = await system.publish(1, grace_seconds=GRACE)
        before = await system.status_becomes(1, "canceling")
        await worker.event("docker_request_refused", run_id=1, status=409)
        at_first = {row["Id"] for row in await run.engine.containers(run.mark)}

        await worker.stop(signum)
        assert run.alive_in_containers()
        worker = await _worker(system, engine, containment, grace_seconds=60)

        await dies_at_its_deadline(system, run)
        evidence = await is_canceled(system, run, command_id)
        assert evidence["proof"] == PROVED_BY[containment]
        await worker.event("docker_request_refused", run_id=1, status=409)
        assert {each["id"] for each in evidence["containers"]} <= at_first
        assert (await system.run(1))["stop_deadline"] == before["stop_deadline"]
        await run.until_removed()


@CONTAINMENTS
@ENDS
async def test_between_the_kill_and_the_proof(
    system: System, engine: OwnEngine, containment: str, signum: signal.Signals
) -> None:
    worker = await _worker(system, engine, containment, worker_shutdown_timeout=0.1)
    async with container_run(system, engine, jobs.RESTARTED) as run:
        await engine.kill()
        command_id = await system.publish(1, grace_seconds=0.5)
        await dies_at_its_deadline(system, run)

        await worker.stop(signum)
        await engine.start()  # which starts it again
        await _worker(system, engine, containment)

        evidence = await is_canceled(system, run, command_id)
        assert evidence["containers"][0]["signal"] == "SIGKILL"
        await run.until_removed()


@ENDS
async def test_between_the_proof_and_the_removal(
    system: System, engine: OwnEngine, signum: signal.Signals
) -> None:
    async with between(engine.socket, engine.directory / "between.sock") as before:
        worker = await system.worker(docker=before.docker_host, grace_seconds=0.5)
        async with container_run(system, engine, jobs.RESTARTED) as run:
            before.hold(SWEEP)
            await is_canceled(system, run, await system.publish(1))
            await before.held.wait()

            await worker.stop(signum)
            await engine.restart()
            assert len(await run.engine.containers(run.mark)) == 1
            assert run.alive() == [], "it is not started again"
            await system.worker(docker=engine.docker_host)

            await run.until_removed()


@pytest.mark.parametrize("call", ["POST .*/create", "POST .*/start"])
async def test_while_a_container_is_started(system: System, engine: OwnEngine, call: str) -> None:
    mark = system.new_mark()
    async with between(engine.socket, engine.directory / "between.sock") as before:
        worker = await system.worker(docker=before.docker_host, grace_seconds=0.5)
        await system.add_run(1)
        before.hold(call)
        # Its command outlives the docker program, whose connection is lost.
        script = f"trap '' TERM\n({jobs.DEAF.script}) || exec sleep 1000"
        job = Job("outlives", script)
        await system.launch(1, *job.command(mark, "run-cancel-test/tiny:1"))
        await before.held.wait()

        await worker.kill()
        before.release()
        await system.worker(docker=engine.docker_host, grace_seconds=0.5)
        command_id = await system.publish(1)

        outcome = await system.outcome_of(command_id)
        assert outcome["outcome"] == "canceled"
        assert marked.alive(mark) == []
        late = (await system.run(1))["finished_at"] - (await system.run(1))["stop_deadline"]
        assert late < timedelta(seconds=1)
