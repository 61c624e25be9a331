"""Jobs that are no runs: started here, and ended with all that is theirs."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

from tests.support.docker import marked
from tests.support.docker.direct import Direct, direct
from tests.support.docker.jobs import IMAGE, Job
from tools.support.program import DEADLINE


@dataclass(frozen=True, slots=True)
class Started:
    """A job that is ready, what it is found by, and the engine that it talks to."""

    process: Process
    mark: str
    containers: tuple[str, ...]
    """The ids of those that it had by then."""
    engine: Direct

    def alive(self) -> list[int]:
        return marked.alive(self.mark, self.containers)

    def alive_in_containers(self) -> list[int]:
        return marked.alive_in_containers(self.mark, self.containers)

    async def until_gone(self) -> None:
        await marked.until_gone(self.mark, self.containers)

    async def kill(self) -> None:
        """End what is its own; what it started on the engine goes on."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def started(
    job: Job,
    docker_host: str,
    image: str = IMAGE,
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    user: int | None = None,
) -> AsyncIterator[Started]:
    """`user`: it runs as this one (root only)."""
    mark = f"mark-{uuid4().hex}"
    process = await asyncio.create_subprocess_exec(
        *job.command(mark, image, options),
        env={**os.environ, "DOCKER_HOST": docker_host, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with direct(docker_host) as engine:
        running = Started(process, mark, (), engine)
        try:
            async with asyncio.timeout(DEADLINE):
                line = await process.stdout.readline()
            if line != b"ready\n":
                await running.kill()
                raise AssertionError((job.name, line, await process.stderr.read()))
            ids = tuple(row["Id"] for row in await engine.containers(mark))
            running = Started(process, mark, ids, engine)
            yield running
        finally:
            await running.kill()
            await running.engine.remove_all(mark)
            await running.until_gone()
