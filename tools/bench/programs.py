"""Programs under measurement: real processes that log to a file, as in production."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

from tools.errors import ToolError

DEADLINE = 120.0
"""Seconds after which the bench gives up on anything."""
_LOOK_AGAIN = 0.02
_REST = 0.3


class Served:
    """Runs `python -m MODULE …` until it is stopped. Its log is not read while it is measured."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    @classmethod
    async def start(cls, *arguments: str, env: Mapping[str, str], log: Path) -> "Served":
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *arguments,
                env={**os.environ, **env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                # Ctrl-C is for the bench, which then ends its programs.
                start_new_session=True,
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def event(self, name: str, **fields: str) -> dict[str, Any]:
        """Wait for the first log line `name` with these fields."""
        end = monotonic() + DEADLINE
        while True:
            for line in self._log.read_bytes().splitlines():
                if name.encode() in line:
                    with suppress(ValueError):
                        said = json.loads(line)
                        if {"event": name, **fields}.items() <= said.items():
                            return dict(said)
            if self.process.returncode is not None or monotonic() > end:
                raise ToolError(f"no event {name} in:\n{self.tail()}")
            await asyncio.sleep(_LOOK_AGAIN)  # a file, so that its reader costs nothing meanwhile

    def tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    def pss_mb(self) -> float:
        """What this process alone costs in memory, shared pages by share."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

    def peak_mb(self) -> float:
        """The most memory that it has had so far (proc(5), VmHWM)."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

    async def at_rest(self) -> None:
        """Return when it has nothing more to do: it took no processor for a while."""
        async with asyncio.timeout(DEADLINE):
            before = -1.0
            while (now := cpu_seconds(self.pid)) > before:
                before = now
                await asyncio.sleep(_REST)  # over which the processor's time is taken

    async def stop(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """End it; what does not obey is killed."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signum)
        try:
            async with asyncio.timeout(DEADLINE):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def cpu_seconds(pid: int) -> float:
    """The processor time that `pid` has had so far (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_exactly(pid: int) -> float:
    """The same to the nanosecond, of the threads that are still there (proc(5), schedstat)."""
    spent = [path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(map(int, spent)) / 1e9


def seconds_of(event: Mapping[str, Any]) -> float:
    """When a log line was written, by time.time()."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


async def result_of(*command: str, env: Mapping[str, str] | None = None) -> Any:
    """Run a script to its end and return the JSON that it prints. Raises ToolError."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()  # it may have programs of its own to end
            await process.wait()
    if process.returncode != 0:
        last = errors.decode(errors="replace").splitlines()[-8:]
        raise ToolError(f"{' '.join(command[:3])} failed:\n" + "\n".join(last))
    return json.loads(out)
