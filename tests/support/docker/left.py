"""Jobs whose command ends by itself, with exit code 0, and leaves containers behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tests.support.docker.canceled import ContainerRun, container_run
from tests.support.docker.jobs import Job
from tests.support.docker.own_engine import OwnEngine
from tools.support.system import System

_LEAVES: Final = """
for number in 1 2; do
    docker run --detach --name "$mark-$number" {policy} --env TEST_MARK="$mark" "$@" \\
        "$image" sleep 1000 >&2
done
echo ready
read _
"""
LEAVES: Final = Job("leaves", _LEAVES.format(policy="--restart always"), containers=2)
LEAVES_CREATED: Final = Job(
    "leaves_created",
    """
docker create --name "$mark" --env TEST_MARK="$mark" "$@" "$image" sleep 1000 >&2
echo ready
read _
""",
    containers=0,
)
LEAVES_PLAIN: Final = Job("leaves_plain", _LEAVES.format(policy=""), containers=2)
"""Without a restart policy: they can end by themselves."""


@asynccontextmanager
async def leaving(
    system: System, engine: OwnEngine, job: Job = LEAVES, *, leftovers: str = "stop"
) -> AsyncIterator[ContainerRun]:
    """Run 1, whose command has not ended."""
    pipe = asyncio.subprocess.PIPE
    async with container_run(system, engine, job, leftovers=leftovers, stdin=pipe) as run:
        try:
            yield run
        finally:
            # A job that nobody has ended does so now: it holds the launcher's output open.
            assert run.launched.process.stdin is not None
            run.launched.process.stdin.close()


async def command_ends(run: ContainerRun) -> None:
    stdin = run.launched.process.stdin
    assert stdin is not None
    stdin.write(b"\n")
    await stdin.drain()
