"""A launcher that asks the worker what a test has it ask, in place of what `cancel-exec` would.

A test itself can be one only of runs that are not stopped: without a cgroup, all that descends
from a launcher is taken for the run's, and so would be the worker that the test has started.
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
_START = "start another child"


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

    async def start_another(self, *command: str) -> int:
        """Have it start one more child, as what traces it could; its pid.

        A `command` of its own is waited for until it says a word.
        """
        _, answer = await self.ask(_START, command=command)
        return int(str(answer["pid"]))


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
    children = [_sleeper()]
    print(children[0].pid, flush=True)
    for line in sys.stdin:
        target, body = json.loads(line)
        if target == _START:
            children.append(_child(body["command"]) if body["command"] else _sleeper())
            answer: wire.Answer = 200, {"pid": children[-1].pid}
        else:
            answer = wire.post(sys.argv[1], target, body, _TIMEOUT)
        print(json.dumps(answer), flush=True)
    for child in children:
        child.kill()
        child.wait()


def _child(command: list[str]) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(("/bin/sleep", "600"), start_new_session=True)


if __name__ == "__main__":
    _main()
