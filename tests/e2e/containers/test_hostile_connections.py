"""A connection to the Docker socket that is not the job's alone does not outlive its run."""

import asyncio
import io
import json
import tarfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.docker import marked, tiny_image
from tests.support.docker.canceled import needs_engine
from tests.support.docker.own_engine import OwnEngine, own_engine
from tests.support.docker.passed_on import passed_on
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = needs_engine


@pytest.fixture
async def engine() -> AsyncIterator[OwnEngine]:
    async with own_engine() as running:
        yield running


def _build(mark: str) -> bytes:
    """The request for a classic build that runs something long."""
    dockerfile = f"FROM {tiny_image.NAME}\nENV {marked.VARIABLE}={mark}\nRUN sleep 1000\n".encode()
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile))
    context = written.getvalue()
    return (
        b"POST /build?rm=1&forcerm=1&nocache=1&networkmode=none HTTP/1.1\r\n"
        b"Host: docker\r\nContent-Length: %d\r\n\r\n%b" % (len(context), context)
    )


@pytest.mark.parametrize("containment", ["cgroup", "session"])
async def test_a_build_over_a_connection_that_was_passed_on_ends_before_the_proof(
    system: System, engine: OwnEngine, tmp_path: Path, containment: str
) -> None:
    """Its context comes late, so that nothing of it runs when the run's processes are gone."""
    await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=1.5)
    mark = f"mark-{uuid4().hex}"
    request = _build(mark)
    async with passed_on(system, tmp_path) as passed:
        await passed.client.send(request[:-1000])

        outcome = await system.outcome_of(await system.publish(1))
        assert outcome["outcome"] == "canceled"

        with suppress(ConnectionError, TimeoutError):
            await passed.client.send(request[-1000:])
            async with asyncio.timeout(2):
                await passed.client.reader.read()
        assert marked.alive(mark) == []


async def test_a_build_over_a_connection_that_was_passed_on_ends_with_a_run_that_passes(
    system: System, engine: OwnEngine, tmp_path: Path
) -> None:
    """Nothing else is left of that run, and its containers are in no cgroup of its own."""
    await system.worker(docker=engine.docker_host, containment="session", leftovers_grace_seconds=1)
    mark = f"mark-{uuid4().hex}"
    async with passed_on(system, tmp_path) as passed:
        await passed.client.send(_build(mark))
        await eventually(lambda: bool(marked.alive(mark)), what="the build's container")

        passed.end_job()
        await eventually(lambda: system.run(1), lambda run: run["status"] == "pass")

        assert marked.alive(mark) == []


@pytest.mark.parametrize("ends", ["canceled", "pass"])
async def test_a_copy_that_nobody_reads_does_not_hold_up_the_end_of_its_run(
    system: System, engine: OwnEngine, tmp_path: Path, ends: str
) -> None:
    """The engine tells nothing about a container while files are copied from it."""
    await system.worker(docker=engine.docker_host, grace_seconds=1, leftovers_grace_seconds=1)
    mark = f"mark-{uuid4().hex}"
    async with passed_on(system, tmp_path) as passed:
        field = "Content-Type: application/json"
        await passed.client.request(f"POST /containers/create?name={mark}", _config(mark), field)
        assert (await passed.client.answer()).status == 201
        await passed.client.request(f"POST /containers/{mark}/start", b"")
        assert (await passed.client.head()).startswith(b"HTTP/1.1 204")
        assert len(marked.alive(mark)) == 1
        await passed.client.request(f"GET /containers/{mark}/archive?path=/")
        assert (await passed.client.head()).startswith(b"HTTP/1.1 200")

        if ends == "canceled":
            await system.publish(1)
        else:
            passed.end_job()

        await eventually(lambda: system.run(1), lambda run: run["status"] == ends, deadline=9)
        assert marked.alive(mark) == []


def _config(mark: str) -> bytes:
    config = {
        "Image": tiny_image.NAME,
        "Cmd": ["sleep", "1000"],
        "Env": [f"{marked.VARIABLE}={mark}"],
        "HostConfig": {"NetworkMode": "none"},
    }
    return json.dumps(config).encode()
