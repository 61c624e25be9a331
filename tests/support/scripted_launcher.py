"""A launcher that asks the worker what a test has it ask, in place of what `cancel-exec` would.

A test itself can be one only of runs that nobody stops: without a cgroup, all that descends from a
launcher is taken for the run's, and so would be the worker that the test has started.
"""

import asyncio
import json
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from worker.launcher import wire

_TIMEOUT = 20.0


class ScriptedLauncher:
    """`child` is the pid of a process of its own that sleeps, for it to start as a run."""

    def __init__(self, process: Process, child: int) -> None:
        self.process = process
        self.child = child

    async def ask(self, target: str, **body: object) -> wire.Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps([target, body])}\n".encode())
        status, answer = json.loads(await self.process.stdout.readline())
        return status, answer

    async def claim(self, run_id: int) -> wire.Answer:
        return await self.ask(wire.LAUNCHES, run_id=run_id, pid=self.child)


@asynccontextmanager
async def scripted_launcher(socket: Path) -> AsyncIterator[ScriptedLauncher]:
    """Start one that talks to the worker at `socket`; its child ends with it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(socket)), stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield ScriptedLauncher(process, int(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


def _main() -> None:
    with subprocess.Popen(("/bin/sleep", "600"), start_new_session=True) as child:
        print(child.pid, flush=True)
        for line in sys.stdin:
            target, body = json.loads(line)
            print(json.dumps(wire.post(sys.argv[1], target, body, _TIMEOUT)), flush=True)
        child.kill()


if __name__ == "__main__":
    _main()
