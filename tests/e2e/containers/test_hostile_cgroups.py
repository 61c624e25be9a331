"""A cgroup with a name like that of a run's containers makes nobody a member of the run."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.docker import jobs
from tests.support.docker.canceled import container_run, needs_engine
from tests.support.docker.own_engine import OwnEngine, own_engine
from tests.support.rights.privileges import NOBODY, as_user, why_no_users
from tools.support.system import System
from worker.processes import cgroup

pytestmark = [
    needs_engine,
    pytest.mark.skipif(why_no_users() is not None, reason=str(why_no_users())),
]

_ASK = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(b"GET /_ping HTTP/1.1\\r\\nHost: docker\\r\\nConnection: close\\r\\n\\r\\n")
print(connection.recv(1000).split()[1].decode())
"""


@pytest.fixture
async def engine() -> AsyncIterator[OwnEngine]:
    async with own_engine() as running:
        yield running


@pytest.fixture
def delegated() -> Iterator[Path]:
    """A cgroup that a user may divide, as systemd gives one to each user."""
    mount = cgroup.mount_point()
    assert mount is not None
    path = mount / f"delegated-{uuid4().hex[:12]}"
    path.mkdir()
    yield path
    assert cgroup.Cgroup(path).remove()


@pytest.mark.parametrize("name", ["run-cancel/{launch}/x", "runcancel{launch.hex}.slice/x"])
@pytest.mark.parametrize("containment", ["cgroup", "session"])
async def test_a_cgroup_that_a_user_has_named_like_that_of_a_run_is_not_of_the_run(
    system: System, engine: OwnEngine, delegated: Path, containment: str, name: str
) -> None:
    await system.worker(docker=engine.docker_host, containment=containment, grace_seconds=0.5)
    async with container_run(system, engine.docker_host, jobs.DETACHED):
        forged = delegated / name.format(launch=(await system.run(1))["launch_id"])
        forged.mkdir(parents=True)
        docker = str(system.socket().with_name("docker.sock"))

        command = (*as_user(NOBODY, forged), sys.executable, "-c", _ASK, docker)
        asking = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd="/")
        said, _ = await asking.communicate()

        assert said == b"403\n"
