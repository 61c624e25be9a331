"""Looking at a launch from outside, step by step: the waiting child, the socket, the claim."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from shared.launcher_environment import LAUNCH_VARIABLE
from tools.support.launched import Launched
from tools.support.system import System
from tools.support.waiting import eventually

# Leaves one line per start, which a test can compare with the recorded process.
MARKING = f'echo "$$ ${LAUNCH_VARIABLE}" >> "$0"; exit "$1"'


# Says that it runs, and ends with the code that it is told by a file.
# Without its directory the test is over: this one may not have seen the word that ended it.
WAITS = (
    'echo ready; until [ -s "$0" ]; do [ -d "${0%/*}" ] || exit; sleep 0.02; done; '
    'exit "$(cat "$0")"'
)


def marking(path: Path, exit_code: int = 0) -> tuple[str, ...]:
    """A command that writes its pid and launch id to `path` and exits."""
    return "sh", "-c", MARKING, str(path), str(exit_code)


def starts(path: Path) -> list[tuple[int, str]]:
    """Pid and launch id of each start of a `marking` command."""
    if not path.exists():
        return []
    return [(int(pid), launch) for pid, launch in map(str.split, path.read_text().splitlines())]


def _stat(pid: int) -> list[str]:
    """The fields behind the name in /proc/PID/stat; empty if there is no such process."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


@asynccontextmanager
async def sleeping_child() -> AsyncIterator[int]:
    """The pid of a child that sleeps in a session of its own."""
    process = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    try:
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def is_live(pid: int) -> bool:
    return bool(fields := _stat(pid)) and fields[0] not in "ZX"


def is_stopped(pid: int) -> bool:
    return _stat(pid)[:1] == ["T"]


def children(pid: int) -> list[int]:
    entries = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return [child for child in entries if _stat(child)[1:2] == [str(pid)]]


async def waiting_child(launcher: int) -> int:
    """The child at the barrier, once it has a session of its own."""

    def is_there() -> bool:
        return any(_stat(child)[3] == str(child) for child in children(launcher))

    await eventually(is_there)
    (child,) = children(launcher)
    return child


async def connected(pid: int) -> None:
    """Return once `pid` holds a connection to a Unix socket: it is asking or has asked."""

    def is_connected() -> bool:
        lines = Path("/proc/net/unix").read_text().splitlines()[1:]
        connections = {line.split()[6] for line in lines if line.split()[5] == "03"}
        with suppress(FileNotFoundError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with suppress(FileNotFoundError):
                    link = Path(entry.path).readlink().name
                    if link.startswith("socket:[") and link[8:-1] in connections:
                        return True
        return False

    await eventually(is_connected)


@asynccontextmanager
async def locked_run(system: System, run_id: int) -> AsyncIterator[None]:
    """Hold the run's row: what would change it waits in the database."""
    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM runs WHERE run_id = $1 FOR UPDATE", run_id)
        yield


async def blocked_in_database(system: System, statements: int = 1, text: str = "") -> None:
    """Wait until so many statements, with this text, wait for a lock in this test's database."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND strpos(query, $1) > 0"
    )
    await eventually(
        lambda: system.database.fetchval(query, text), lambda found: found >= statements
    )


class Launch:
    """Run 1, about to be launched, and the file in which its command leaves a trace."""

    def __init__(self, system: System, launched: Launched, child: int, marks: Path) -> None:
        self.system = system
        self.launched = launched
        self.child = child
        self.marks = marks

    @classmethod
    async def begin(cls, system: System) -> "Launch":
        await system.add_run(1)
        marks = system.directory / "marks"
        launched = await system.launch(1, *marking(marks))
        return cls(system, launched, await waiting_child(launched.process.pid), marks)

    def stop_launcher(self) -> None:
        self.launched.process.send_signal(signal.SIGSTOP)

    async def kill_launcher(self) -> None:
        self.launched.process.kill()
        await self.launched.process.wait()

    async def never_ran(self, status: str) -> None:
        await eventually(lambda: not is_live(self.child))
        run = await self.system.status_becomes(1, status)
        assert starts(self.marks) == []
        assert bool(run["error"]) == (status == "error")

    async def ran_once_registered(self) -> None:
        assert await self.launched.exit_code() == 0
        run = await self.system.run(1)
        assert run["status"] == "pass"
        assert starts(self.marks) == [(run["pid"], str(run["launch_id"]))]
        assert run["pid"] == self.child


class Command:
    """The command of run 1: it waits to be told its exit code."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._code = system.directory / "code"
        self.launched: Launched
        self.pid: int

    async def start(self, *options: str) -> Launched:
        await self._system.add_run(1)
        self.launched = await self._system.launch(
            1, "sh", "-c", WAITS, str(self._code), options=options
        )
        await self.launched.ready()
        self.pid = (await self._system.run(1))["pid"]
        return self.launched

    def end_with(self, code: int) -> None:
        self._code.write_text(str(code))

    async def ended_with(self, code: int) -> None:
        self.end_with(code)
        # Reaped: its launcher has the exit code, and signals are for nobody else any more.
        await eventually(lambda: not Path(f"/proc/{self.pid}").exists())
