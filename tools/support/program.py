"""A program under test: its own process, its log lines as named events."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tools.support.forked import ForkedProcess

Event = dict[str, Any]

DEADLINE = 30.0
"""Seconds after which a test gives up on an event."""


class Program:
    """Runs `python -m MODULE …` and reads its JSON log."""

    LOGS: Final = {"CANCEL_LOG_FORMAT": "json"}
    """The environment in which what it logs is understood here."""

    def __init__(
        self, process: asyncio.subprocess.Process | ForkedProcess, log: Path | None = None
    ) -> None:
        """`log` gets a copy of what the program logs."""
        self.process = process
        self._log = log
        self.events: list[Event] = []
        self.output: list[str] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, *arguments: str, env: Mapping[str, str], within: Sequence[str] = ()
    ) -> "Program":
        """`within` is a command that runs the one behind it, perhaps as another user."""
        process = await asyncio.create_subprocess_exec(
            *within,
            sys.executable,
            "-m",
            *arguments,
            env={**os.environ, **env, **cls.LOGS},
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        return cls(process)

    async def event(
        self,
        name: str,
        *,
        count: int = 1,
        deadline: float | None = DEADLINE,
        where: Callable[[Event], bool] = lambda _: True,
        **fields: Any,
    ) -> Event:
        """Wait for the `count`th log line `name` with these fields, past ones included."""

        def matching() -> list[Event]:
            wanted = {"event": name, **fields}.items()
            return [e for e in self.events if wanted <= e.items() and where(e)]

        try:
            async with asyncio.timeout(deadline), self._changed:
                await self._changed.wait_for(
                    lambda: len(matching()) >= count or self._reader.done()
                )
        except TimeoutError:
            raise AssertionError(f"no event {name} {fields} in:\n{self.log()}") from None
        found = matching()
        assert len(found) >= count, f"ended without {name} {fields}:\n{self.log()}"
        return found[count - 1]

    async def follow(self) -> AsyncIterator[Event]:
        """Each log line, past ones included, until the program ends."""
        told = 0

        def is_news() -> bool:
            return len(self.events) > told or self._reader.done()

        while True:
            async with self._changed:
                await self._changed.wait_for(is_news)
            if len(self.events) == told:
                return
            yield self.events[told]
            told += 1

    async def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; the exit code. Safe to call again."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signum)
        return await self.wait()

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def wait(self, deadline: float = DEADLINE) -> int:
        try:
            async with asyncio.timeout(deadline):
                code = await self.process.wait()
                await self._reader
        except TimeoutError:
            self.process.kill()
            raise AssertionError(f"did not end:\n{self.log()}") from None
        return code

    def log(self) -> str:
        return "\n".join([*map(json.dumps, self.events), *self.output])

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            if self._log is not None:
                with self._log.open("ab") as log:
                    log.write(line)
            async with self._changed:
                try:
                    self.events.append(json.loads(line))
                except ValueError:
                    self.output.append(line.decode().rstrip())
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()
