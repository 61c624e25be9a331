"""Live runs: real launchers around small processes, as the user of an untrusted job."""

import asyncio
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

from tools.bench.programs import DEADLINE
from tools.bench.system import BenchSystem
from tools.demo.account import PUBLIC_PATH, choose
from tools.support.waiting import eventually

OBEYS = ("sleep", "100000")
# What is ignored stays so across exec.
RESISTS = ("sh", "-c", 'trap "" TERM; exec sleep 100000')

_STARTING_AT_ONCE = 12


class Jobs:
    """Starts runs by `cancel-exec`, and ends all that is left of them."""

    def __init__(self, system: BenchSystem) -> None:
        self._system = system
        self._account = choose(system.directory)
        self._launchers = system.launchers

    @property
    def whose(self) -> str:
        return self._account.description

    async def start(self, run_ids: Iterable[int], command: tuple[str, ...] = OBEYS) -> None:
        """Add these runs, start them, and return when the commands of all of them run."""
        wanted = list(run_ids)
        await self._system.database.executemany(
            "INSERT INTO runs (run_id) VALUES ($1)", [(run_id,) for run_id in wanted]
        )
        places = asyncio.Semaphore(_STARTING_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for run_id in wanted:
                await places.acquire()
                tasks.create_task(self._start(run_id, command, places))
        await self._system.until(
            "SELECT count(*) = $2 FROM runs WHERE run_id = ANY ($1::bigint[])"
            " AND status = 'running'",
            wanted,
            len(wanted),
        )
        rows = await self._system.database.fetch(
            "SELECT pid FROM runs WHERE run_id = ANY ($1::bigint[])", wanted
        )
        # Nothing tells of an exec; this is not timed.
        await eventually(lambda: all(_is_command(row["pid"]) for row in rows), deadline=DEADLINE)

    async def _start(
        self, run_id: int, command: tuple[str, ...], places: asyncio.Semaphore
    ) -> None:
        uid = self._account.uid
        process = subprocess.Popen(  # noqa: ASYNC220 - uvloop starts none as another user
            [
                *self._account.launcher,
                *("--run-id", str(run_id), "--socket", str(self._system.socket), "--"),
                *command,
            ],
            env={"PATH": PUBLIC_PATH},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            start_new_session=True,
        )
        self._launchers.append(process)
        try:
            query = "SELECT status = 'running' FROM runs WHERE run_id = $1"
            await self._system.until(query, run_id, every=0.05)
        finally:
            places.release()

    async def ended(self) -> None:
        """Return when no launcher is left."""
        for launcher in self._launchers:
            await asyncio.to_thread(launcher.wait, DEADLINE)
        self._launchers.clear()

    async def kill_launchers(self) -> None:
        for launcher in self._launchers:
            launcher.kill()  # Popen does not signal what it has reaped
        await self.ended()


def _is_command(pid: int) -> bool:
    # Until then it is a launcher's child at its barrier, or a shell.
    return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"


class End:
    """Tells when a process ended, by perf_counter."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)
        self._loop = asyncio.get_running_loop()
        self.at: asyncio.Future[float] = self._loop.create_future()
        self._loop.add_reader(self._fd, self._ended)

    def _ended(self) -> None:
        if not self.at.done():
            self.at.set_result(perf_counter())
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
