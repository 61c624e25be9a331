"""Runs whose jobs use containers, on an engine of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.support.docker import marked, tiny_image
from tests.support.docker.direct import Direct, direct
from tests.support.docker.jobs import Job
from tests.support.docker.own_engine import OwnEngine, why_no_own_engine
from tools.support.launched import Launched
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually

needs_engine = pytest.mark.skipif(why_no_own_engine() is not None, reason=str(why_no_own_engine()))


@dataclass(frozen=True, slots=True)
class ContainerRun:
    """A run whose containers are up."""

    run_id: int
    mark: str
    launched: Launched
    containers: tuple[str, ...]
    """The ids of those that it had by then."""
    engine: Direct

    def alive(self) -> list[str]:
        return [marked.describe(pid) for pid in marked.alive(self.mark, self.containers)]

    def alive_in_containers(self) -> list[int]:
        return marked.alive_in_containers(self.mark, self.containers)

    async def until_dead(self, deadline: float) -> None:
        """Return once nothing of it is alive; TimeoutError after `deadline` seconds."""
        await marked.until_gone(self.mark, self.containers, deadline)

    async def until_removed(self) -> None:
        """Return once the engine has no container and no network of it."""
        await eventually(
            self._left, lambda left: left == ([], []), what="containers and networks left"
        )

    async def _left(self) -> tuple[list[Json], list[Json]]:
        return await self.engine.containers(self.mark), await self.engine.networks(self.mark)


@asynccontextmanager
async def container_run(
    system: System,
    engine: OwnEngine | str,
    job: Job,
    options: Sequence[str] = (),
    *,
    run_id: int = 1,
    image: str = tiny_image.NAME,
    leftovers: str = "stop",
    wrapper: Sequence[str] = (),
    stdin: int = asyncio.subprocess.DEVNULL,
) -> AsyncIterator[ContainerRun]:
    """Launch the job as a run of this system, and wait until it is ready.

    `wrapper` is a command that runs the job. From an engine that is not the test's own, given by
    its address, everything of the job is removed in the end.
    """
    mark = f"mark-{uuid4().hex}"
    await system.add_run(run_id, leftovers=leftovers)
    address = engine if isinstance(engine, str) else engine.docker_host
    command = job.command(mark, image, options)
    async with direct(address) as client:
        launched = await system.launch(run_id, *wrapper, *command, stdin=stdin)
        try:
            await launched.ready()
            ids = tuple(row["Id"] for row in await client.containers(mark))
            yield ContainerRun(run_id, mark, launched, ids, client)
        finally:
            if isinstance(engine, str):
                launched.kill()
                await client.remove_all(mark)
