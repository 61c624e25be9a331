"""The round's runs: their rows, their launchers, their jobs."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final
from uuid import uuid4

import asyncpg

from tools.chaos.driver.journal import Journal
from tools.chaos.driver.registering.asked import Asked, Options, invalid_options, other_than
from tools.chaos.driver.registering.registrar import Registrar
from tools.chaos.driver.registering.ways import Way
from tools.chaos.observed.processes import all_processes
from tools.support.launched import CANCEL_EXEC

JOB: Final = Path(__file__).with_name("job.py")
MOST_LIVE: Final = 60
"""Launchers at once: each has a process tree of up to three."""


@dataclass(frozen=True, slots=True)
class Job:
    """`life` in seconds; `code` is what it exits with if it is left alone."""

    kind: str = "obeys"
    life: float = 300.0
    code: int = 0


@dataclass(slots=True)
class Run:
    asked: Asked
    host: str
    mark: str = field(default_factory=lambda: f"mark-{uuid4().hex}")

    @property
    def run_id(self) -> int:
        return self.asked.run_id


class Runs:
    def __init__(
        self,
        database: "asyncpg.Pool[asyncpg.Record]",
        registrar: Registrar,
        directory: Path,
        sockets: Mapping[str, Path],
        env: Mapping[str, str],
        journal: Journal,
    ) -> None:
        self.database = database
        self.registrar = registrar
        self._directory = directory
        self._sockets = sockets
        self._env = {**os.environ, **env}
        self._journal = journal
        self._next = 1
        self._live: dict[int, asyncio.subprocess.Process] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._marks: dict[int, str] = {}
        self.jobs = directory / "jobs"
        self.jobs.mkdir()

    @property
    def is_full(self) -> bool:
        return len(self._live) >= MOST_LIVE

    @property
    def live_count(self) -> int:
        return len(self._live)

    def mark_of(self, run_id: int) -> str:
        return self._marks[run_id]

    def unknown_id(self) -> int:
        """The id of a run that does not exist, and never will."""
        self._next += 1
        return 10**12 + self._next

    async def add(self, host: str, options: Options, random: Random) -> Run:
        (run,) = await self.add_all(host, [options], random, self.registrar.way(random))
        return run

    async def add_all(
        self,
        host: str,
        options: Sequence[Options],
        random: Random,
        way: Way,
        *,
        is_awaited: bool = True,
    ) -> list[Run]:
        """Register runs, and wait until they are on record: a message may take its time."""
        runs = [self.new(host, each) for each in options]
        await self.registrar.register([run.asked for run in runs], random, way)
        if is_awaited and way is self.registrar.message:
            await self.registrar.until_on_record([run.run_id for run in runs])
        return runs

    def new(self, host: str, options: Options) -> Run:
        """A run that is to be registered; written down before anybody else knows of it."""
        run = Run(Asked(self._next, options), host)
        self._next += 1
        self._marks[run.run_id] = run.mark
        self._journal.write("run", run_id=run.run_id, host=host, mark=run.mark)
        return run

    async def add_again(self, run: Run, random: Random) -> None:
        """As it is on record, which changes nothing, and otherwise, which is refused."""
        await self.registrar.register([run.asked], random, self.registrar.way(random))
        other = Asked(run.run_id, other_than(run.asked.options, random))
        await self.registrar.register([other], random, self.registrar.way(random))

    async def add_invalid(self, random: Random) -> None:
        """A run that is refused, whichever way it comes."""
        asked = Asked(self.unknown_id(), invalid_options(random), is_valid=False)
        for way in self.registrar.of_outside:
            await self.registrar.register([asked], random, way)

    async def launch(self, run: Run, job: Job) -> None:
        """Start `cancel-exec` on the run's host, and note how it ends."""
        self._journal.write(
            "launch", run_id=run.run_id, mark=run.mark, job=job.kind, life=job.life, code=job.code
        )
        words = [job.kind, run.mark, self.jobs, run.run_id, job.life, job.code]
        with (self.jobs / f"{run.run_id}.stderr").open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                str(CANCEL_EXEC),
                *("--run-id", str(run.run_id), "--socket", str(self._sockets[run.host])),
                *("--", sys.executable, "-S", str(JOB), *map(str, words)),
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
            )
        self._live[run.run_id] = process
        end = asyncio.create_task(self._note_end(run.run_id, process))
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)

    async def _note_end(self, run_id: int, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._live.pop(run_id, None)
        self._journal.write("launcher_ended", run_id=run_id, code=code, pid=process.pid)

    async def started(self, run: Run, seconds: float) -> bool:
        """Wait until the job has begun to run; False if it has not within so many seconds."""
        file = self.jobs / f"{run.run_id}.started"
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not file.exists():
                    await asyncio.sleep(0.02)
        return file.exists()

    def kill_a_launcher(self, random: Random) -> int | None:
        """SIGKILL one; its run's id, None if there is none."""
        if not self._live:
            return None
        run_id = random.choice(sorted(self._live))
        self._journal.write("launcher_killed", run_id=run_id)
        with suppress(ProcessLookupError):
            self._live[run_id].kill()
        return run_id

    def drain(self) -> None:
        """Have all jobs that still live end with their exit codes."""
        (self.jobs / "drain").touch()

    async def end(self) -> None:
        self.drain()
        for launcher in list(self._live.values()):
            with suppress(ProcessLookupError):
                launcher.kill()
        await asyncio.gather(*self._ends)
        marks = set(self._marks.values())
        for process in all_processes():
            if process.words & marks:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
