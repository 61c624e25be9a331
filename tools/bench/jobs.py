"""Live runs: real launchers around small processes, as the user of an untrusted job."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

from tools.bench.programs import DEADLINE
from tools.bench.system import BenchSystem
from tools.demo.account import PROJECT, PUBLIC_PATH, choose
from tools.support.waiting import eventually

OBEYS = ("sleep", "100000")
# What is ignored stays so across exec.
RESISTS = ("sh", "-c", 'trap "" TERM; exec sleep 100000')

_STARTING_AT_ONCE = 12
_LAUNCH = (
    f"import sys; sys.path.insert(0, {str(PROJECT)!r});"
    " from tools.bench.many_launchers import main; main()"
)


class Jobs:
    """Starts runs by `cancel-exec`, by forks of one process (`many_launchers`), and ends them."""

    def __init__(self, system: BenchSystem) -> None:
        self._system = system
        self._account = choose(system.directory)
        self._launching: subprocess.Popen[bytes] | None = None

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
        arguments = ["--run-id", str(run_id), "--socket", str(self._system.socket), "--", *command]
        try:
            if self._launching is None:
                self._launching = self._many_launchers()
            assert self._launching.stdin is not None
            self._launching.stdin.write(json.dumps(arguments).encode() + b"\n")
            self._launching.stdin.flush()
            query = "SELECT status = 'running' FROM runs WHERE run_id = $1"
            await self._system.until(query, run_id, every=0.05)
        finally:
            places.release()

    def _many_launchers(self) -> subprocess.Popen[bytes]:
        uid = self._account.uid
        process = subprocess.Popen(  # uvloop starts none as another user
            [self._account.python, "-c", _LAUNCH],
            env={"PATH": PUBLIC_PATH},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
            start_new_session=True,
        )
        self._system.launchers.append(process)
        return process

    async def ended(self) -> None:
        """Return when no launcher is left."""
        if (process := self._launching) is not None:
            self._launching = None
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.to_thread(process.wait, DEADLINE)

    async def kill_launchers(self) -> None:
        if self._launching is not None:
            self._launching.kill()
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
