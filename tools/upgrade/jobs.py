"""Real jobs, each started by the launcher of some version."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from tools.support.processes import BAD_CHILD, alive
from tools.support.program import DEADLINE
from tools.upgrade.version import Version

UNTIL_TOLD: Final = "until_told"
"""The kind of a job that ends well as soon as its input ends."""
_UNTIL_TOLD: Final = "print('ready', flush=True); import sys; sys.stdin.read()"


@dataclass(frozen=True, slots=True)
class Job:
    run_id: int
    mark: str
    """A word in the command line of each of its processes."""
    launcher: asyncio.subprocess.Process

    @classmethod
    async def start(cls, version: Version, run_id: int, socket: Path, kind: str) -> "Job":
        """Start a job and return once it is up."""
        mark = f"mark-{uuid4().hex}"
        program = ["-c", _UNTIL_TOLD] if kind == UNTIL_TOLD else [str(BAD_CHILD), kind]
        launcher = await version.launch(run_id, socket, sys.executable, "-S", *program, mark)
        job = cls(run_id, mark, launcher)
        try:
            assert launcher.stdout is not None
            async with asyncio.timeout(DEADLINE):
                line = await launcher.stdout.readline()
            assert line == b"ready\n", f"run {run_id} does not start: {line!r}"
        except BaseException:
            await end_all([job])
            raise
        return job

    def tell(self) -> None:
        """Let it end."""
        assert self.launcher.stdin is not None
        self.launcher.stdin.close()


async def end_all(jobs: Iterable[Job]) -> None:
    for job in jobs:
        for pid in alive(job.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if job.launcher.returncode is None:
            with suppress(ProcessLookupError):
                job.launcher.kill()
        await job.launcher.wait()
