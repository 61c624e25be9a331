"""A `cancel-exec` under test."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tools.support.program import DEADLINE

CANCEL_EXEC = Path(sys.executable).with_name("cancel-exec")


class Launched:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(
        cls,
        run_id: int,
        *command: str,
        socket: Path,
        options: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        user: int | None = None,
        within: Sequence[str] = (),
        stdin: int = asyncio.subprocess.DEVNULL,
    ) -> "Launched":
        """Start the launcher, as `user` if given (root only).

        `within` is a command that runs the one behind it.
        """
        process = await asyncio.create_subprocess_exec(
            *within,
            str(CANCEL_EXEC),
            "--run-id",
            str(run_id),
            *("--socket", str(socket)),
            *options,
            "--",
            *command,
            env=dict(os.environ if env is None else env),
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        return cls(process)

    async def line(self, deadline: float = DEADLINE) -> str:
        """The next line of the command's output; empty at its end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(deadline):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def ready(self) -> None:
        """Wait for a bad child's word that it is set up."""
        line = await self.line()
        assert line == "ready", (line, await self.errors())

    async def exit_code(self, deadline: float = DEADLINE) -> int:
        async with asyncio.timeout(deadline):
            return await self.process.wait()

    async def errors(self, deadline: float = DEADLINE) -> str:
        """All that was written to stderr, once that has been closed."""
        assert self.process.stderr is not None
        async with asyncio.timeout(deadline):
            return (await self.process.stderr.read()).decode()

    def kill(self) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()

    async def end(self) -> None:
        self.kill()
        await self.process.wait()
