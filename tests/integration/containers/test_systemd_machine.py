"""A machine with systemd can be booted in a container, with an engine of the other driver."""

import asyncio

import pytest

from tests.support.docker import tiny_image
from tests.support.docker.at_hand import why_no_engine
from tests.support.docker.direct import direct
from tests.support.docker.systemd.machine import IMAGE, Machine, booted

# To build it takes the network; who wants it runs the program of that name first.
_WHY_NOT = why_no_engine(IMAGE)
_HOW = "python -m tests.support.docker.systemd -- true"


async def _run(machine: Machine, *command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *machine.command(*command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode().strip()


@pytest.mark.skipif(_WHY_NOT is not None, reason=f"{_WHY_NOT}: {_HOW}")
async def test_its_engine_takes_slices_only() -> None:
    create = ("docker", "run", "--detach", "--cgroup-parent")
    sleeps = (tiny_image.NAME, "sleep", "1000")
    with booted() as machine:
        await machine.until_ready()

        refused, said = await _run(machine, *create, "/path", *sleeps)
        code, container = await _run(machine, *create, "jobs-1.slice", *sleeps)

        assert (refused, code) == (125, 0), said
        assert "should be a valid slice" in said
        _, pid = await _run(machine, "docker", "inspect", "--format", "{{.State.Pid}}", container)
        _, group = await _run(machine, "cat", f"/proc/{pid}/cgroup")
        assert group.endswith(f"0::/jobs.slice/jobs-1.slice/docker-{container}.scope")
        _, own = await _run(machine, "cat", "/proc/self/cgroup")
        assert own.splitlines()[-1].startswith("0::/system.slice/run-")

    async with direct() as engine:
        assert await engine.containers(machine.name) == []
