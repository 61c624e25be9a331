"""A runner host on which docs/runners.md and docs/platforms.md were followed."""

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from tests.support.launcher.job_user import outcome, runner_environment
from tests.support.repository.documents import code_block
from tools.demo.account import choose
from tools.support.processes import BAD_CHILD, alive, until_gone
from tools.support.system import System

SCRIPTS: Final = {
    "run-job": "sh",
    "run-in-scratch": "sh",
    "start-runner": "sh",
    "job-started": "sh",
    "gitlab-run": "sh",
    "command": "bash",
    "schedule": "python",
}
"""And the language that the document says each has."""


class Host:
    """The documents' scripts, as they stand there, and how to start them."""

    def __init__(self, system: System, directory: Path, through: tuple[str, ...]) -> None:
        self.system = system
        self.directory = directory
        self.mark = f"mark-{uuid4().hex}"
        self._through = through
        account = choose(directory)
        self.python = account.python
        self._started: list[asyncio.subprocess.Process] = []
        for name, language in SCRIPTS.items():
            self.write(name, code_block(f"{language} {name}"))
        # Ours may be out of that user's reach.
        self.write("bin/cancel-exec", f'#!/bin/sh\nexec {shlex.join(account.launcher)} "$@"\n')

    def write(self, name: str, text: str) -> Path:
        file = self.directory / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    def job(self, kind: str) -> tuple[str, ...]:
        """A command that misbehaves."""
        return (self.python, "-S", str(BAD_CHILD), kind, self.mark)

    async def start(self, *command: str, **env: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *self._through,
            *command,
            cwd=self.directory,
            env={
                **runner_environment(),
                "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
                "CANCEL_WORKER_SOCKET": str(self.system.socket()),
                "TMPDIR": str(self.directory / "tmp"),
                **env,
            },
            # As platforms do, which signal all of it.
            process_group=0,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._started.append(process)
        return process

    async def script(self, name: str, *arguments: str, **env: str) -> asyncio.subprocess.Process:
        return await self.start(str(self.directory / name), *arguments, **env)

    async def canceled(self, process: asyncio.subprocess.Process, run_id: int = 1) -> int:
        """Cancel the run once its job is up; the script's exit code, when all is over."""
        await ready(process)
        row = await self.system.outcome_of(await self.system.publish(run_id, grace_seconds=0.3))
        assert (row["outcome"], (await self.system.run(run_id))["status"]) == (
            *("canceled", "canceled"),
        )
        # Only now: the script has the mark among its own arguments.
        code, _, _ = await outcome(process)
        await until_gone(self.mark, deadline=0)
        return code

    async def end(self) -> None:
        for pid in alive(self.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"ready\n"
