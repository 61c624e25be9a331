"""A place in the system that a worker or a gateway takes, one after the other."""

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tools.chaos.driver.journal import Journal
from tools.support.program import Program

ORDERLY_SECONDS = 60.0
"""For a program to end after SIGTERM; what it may wait for is bounded well below that."""

_OWN_SESSION: Final = ("setsid",)
"""As under a service manager. Linux shares processor time out to sessions (autogroup): else all
programs, the driver and its jobs together would have no more than one server, or one test."""


class Slot:
    """Starts a program again and again; notes each end, and above all one not asked for."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        ready: Sequence[str],
        journal: Journal,
        logs: Path,
    ) -> None:
        self.name = name
        self.lock = asyncio.Lock()
        self._arguments = arguments
        self._env = env
        self._ready = ready
        self._journal = journal
        self._logs = logs
        self._count = 0
        self._asked: signal.Signals | None = None
        self._watch: asyncio.Task[None] | None = None
        self.program: Program | None = None

    @property
    def pid(self) -> int | None:
        if self.program is None or self.program.process.returncode is not None:
            return None
        return self.program.process.pid

    async def start(self) -> None:
        """Start the program, without waiting for it to be of use."""
        self._count += 1
        self._asked = None
        self.program = await Program.start(*self._arguments, env=self._env, within=_OWN_SESSION)
        self._watch = asyncio.create_task(self._note_end(self.program, self._count))
        self._journal.write("program_started", name=self.name, count=self._count, pid=self.pid)

    async def ready(self, deadline: float) -> bool:
        """Wait until the program is of use; False, and noted, if it does not come to that."""
        assert self.program is not None
        try:
            for event in self._ready:
                await self.program.event(event, deadline=deadline)
        except AssertionError:
            self._journal.write("program_not_ready", name=self.name, count=self._count)
            return False
        return True

    async def end(self, signum: signal.Signals) -> None:
        """Signal the program and wait for its end."""
        if self.program is None or self._watch is None:
            return
        self._asked = signum
        self.send(signal.SIGCONT)  # a paused one would not hear it
        self.send(signum)
        done, _ = await asyncio.wait({self._watch}, timeout=ORDERLY_SECONDS)
        if not done:
            self._journal.write("program_hung", name=self.name, count=self._count)
            self.send(signal.SIGKILL)
            await self._watch

    def send(self, signum: signal.Signals) -> None:
        if self.program is not None and self.pid is not None:
            with suppress(ProcessLookupError):
                self.program.process.send_signal(signum)

    async def _note_end(self, program: Program, count: int) -> None:
        code = await program.process.wait()
        asked = self._asked
        self._journal.write(
            "program_ended",
            name=self.name,
            count=count,
            code=code,
            asked=asked.name if asked else None,
            was_ready=all(any(e["event"] == r for e in program.events) for r in self._ready),
        )
        with suppress(AssertionError):
            await program.wait()
        lines = [*map(json.dumps, program.events), *program.output]
        path = self._logs / f"{self.name}-{count}.log"
        path.write_text("".join(f"{line}\n" for line in lines))
        self._journal.write("program_log", name=self.name, count=count, path=str(path))
