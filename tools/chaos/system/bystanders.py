"""Processes that look as much like a run's as can be, and that must not be touched."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from shared.launcher_environment import LAUNCH_VARIABLE, RUN_VARIABLE
from tools.chaos.driver.journal import Journal
from worker.processes.cgroup import Cgroup, path_of

SCRIPT = Path(__file__).with_name("bystander.py")


class Bystanders:
    def __init__(self, directory: Path, journal: Journal, hosts: list[str]) -> None:
        self._directory = directory
        self._journal = journal
        self._hosts = hosts
        self._processes: list[asyncio.subprocess.Process] = []
        self._groups: list[Cgroup] = []

    async def start(self) -> None:
        # Of the session and group of the launchers' parent, and a session of its own.
        await self._add("session", {})
        await self._add("own_session", {}, own_session=True)
        # What a job has in its environment, of a run that is none of ours.
        await self._add("environment", {RUN_VARIABLE: "1", LAUNCH_VARIABLE: str(uuid4())})
        for host in self._hosts:
            await self._add_beside_runs(host)

    async def _add_beside_runs(self, host: str) -> None:
        """Into a cgroup beside those of the host's runs, where cgroups can be had."""
        pid = await self._add(f"cgroup_{host}", {}, own_session=True)
        own = path_of("self")
        if own is None:
            return
        group = Cgroup(own / "cancel-worker" / host / "bystander")
        with suppress(OSError):
            group.create()
            self._groups.append(group)
            group.add(pid)

    async def _add(self, name: str, env: dict[str, str], *, own_session: bool = False) -> int:
        file = self._directory / f"bystander-{name}.signals"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-S", str(SCRIPT), f"bystander-{uuid4().hex}", str(file)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **env},
            start_new_session=own_session,
        )
        self._processes.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(10):
            await process.stdout.readline()
        start_ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        self._journal.write(
            "bystander", name=name, pid=process.pid, start_ticks=start_ticks, file=str(file)
        )
        return process.pid

    async def end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
            await process.wait()
        for group in self._groups:
            group.remove()
