"""What a Docker socket for jobs costs: its requests, the stop of containers, and without any."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import aiohttp

from tools.bench import docker_socket
from tools.bench.commits import Commits, watched
from tools.bench.jobs import Jobs
from tools.bench.output.results import Bar, Results, compared
from tools.bench.pace import REST
from tools.bench.programs import DEADLINE
from tools.bench.system import BenchSystem
from tools.errors import ToolError
from tools.support.launched import CANCEL_EXEC

ENGINE: Final = docker_socket.DIRECT
IMAGE: Final = docker_socket.IMAGE
_SAVED: Final = (IMAGE, "rabbitmq:4-management")
SIZES: Final = (1, 10, 50)
_OBEYS: Final = ("sh", "-c", "trap 'exit 0' TERM; echo ready; sleep 1000 & wait")
_RESISTS: Final = ("sh", "-c", "trap '' TERM; echo ready; exec sleep 1000")
_GRACE: Final = 2.0
"""Of runs that must be killed; those that obey have all the time they need."""
_SINGLY: Final = 20
"""Cancels of a round, each of a run without containers."""
_STARTER: Final = Path(__file__).parents[1] / "raw" / "containers.py"


class Containers:
    """Needs an engine; without one, nothing is measured."""

    def __init__(self, system: BenchSystem, sizes: tuple[int, ...] = SIZES) -> None:
        self._system = system
        self._sizes = sizes
        self._jobs = Jobs(system)
        self._next_run = 1

    async def measure(self, results: Results, rounds: int) -> None:
        if not await docker_socket.has(ENGINE, IMAGE):
            why = f"no Docker engine at {ENGINE} that has {IMAGE}"
            print(f"bench: containers: skipped, {why}", file=sys.stderr)
            return
        without, given = await self._singles(rounds)
        results.rows.append(
            compared(
                "docker_unused",
                "cancel published → row canceled, no containers, a worker with `CANCEL_DOCKER`",
                "ms",
                Bar(),
                given,
                "the same without it",
                without,
            )
        )
        await self._start_worker(docker=True)
        await self._requests(results, rounds)
        for obeys in (True, False):
            await self._stops(results, rounds, obeys=obeys)

    async def _start_worker(self, *, docker: bool) -> None:
        await self._system.start_worker({"CANCEL_DOCKER": ENGINE} if docker else {})

    async def _singles(self, rounds: int) -> tuple[list[float], list[float]]:
        """Milliseconds without and with the setting, by workers in turns."""
        taken: dict[bool, list[float]] = {False: [], True: []}
        for number in range(rounds):
            for docker in (True, False) if number % 2 else (False, True):
                await self._start_worker(docker=docker)
                await self._single(3)  # what is imported or prepared by the first
                taken[docker].append(median(await self._single(_SINGLY)))
                await self._system.worker.stop()
        return taken[False], taken[True]

    async def _single(self, number: int) -> list[float]:
        run_ids = range(self._next_run, self._next_run + number)
        self._next_run += number
        await self._jobs.start(run_ids)
        async with watched(self._system.database_url) as commits:
            taken = [await self._cancel(run_id, commits) * 1000 for run_id in run_ids]
        await self._jobs.ended()
        return taken

    async def _cancel(self, run_id: int, commits: Commits) -> float:
        """Seconds from the publish to the row."""
        await asyncio.sleep(REST)  # part of what is measured, and waits for nothing
        began = perf_counter()
        await self._system.publish([run_id])
        async with asyncio.timeout(DEADLINE):
            return await commits.of(run_id) - began

    async def _requests(self, results: Results, rounds: int) -> None:
        """The measure of its own, as the job of a run."""
        out = self._system.directory / "socket.json"
        command = (sys.executable, "-m", docker_socket.__name__, "--out", str(out), "--json")
        saved = [each for each in _SAVED if await docker_socket.has(ENGINE, each)]
        images = [word for each in saved for word in ("--image", each)]
        job = await self._launch(*command, "--rounds", str(rounds), *images)
        try:
            if await asyncio.to_thread(job.wait) != 0:
                raise ToolError(f"{docker_socket.__name__} failed")
        finally:
            job.kill()
        results.rows += docker_socket.rows_of(json.loads(out.read_text()))

    async def _stops(self, results: Results, rounds: int, *, obeys: bool) -> None:
        ours: dict[int, list[float]] = {size: [] for size in self._sizes}
        engines: dict[int, list[float]] = {size: [] for size in self._sizes}
        for _ in range(rounds):
            for size in self._sizes:
                ours[size].append(await self._stop(size, obeys=obeys))
                engines[size].append(await self._stop_by_engine(size, obeys=obeys))
        how = "obey" if obeys else f"must be killed, without the {_GRACE:g} s of grace"
        for size in self._sizes:
            results.rows.append(
                compared(
                    f"docker_stop_{size}_{'obey' if obeys else 'kill'}",
                    f"cancel published → row canceled, {size} containers that {how}",
                    "s",
                    Bar(),
                    ours[size],
                    "the engine alone: all signaled at once → all ended",
                    engines[size],
                )
            )

    async def _stop(self, size: int, *, obeys: bool) -> float:
        grace = DEADLINE if obeys else _GRACE
        job = await self._launch(*_starter(size, obeys=obeys), grace=grace)
        run_id = self._next_run - 1
        try:
            await _ids(job)
            async with watched(self._system.database_url) as commits:
                taken = await self._cancel(run_id, commits)
        finally:
            job.kill()
            await asyncio.to_thread(job.wait)
        # Not timed, and not to be in the way of the next.
        removed = "SELECT containers_removed FROM runs WHERE run_id = $1"
        await self._system.until(removed, run_id, every=0.1)
        return taken if obeys else taken - _GRACE

    async def _stop_by_engine(self, size: int, *, obeys: bool) -> float:
        job = _popen(*_starter(size, obeys=obeys), env={"DOCKER_HOST": ENGINE})
        try:
            ids = await _ids(job)
            async with _engine() as http, asyncio.TaskGroup() as removing:
                ends = [asyncio.create_task(_post(http, f"{name}/wait")) for name in ids]
                await asyncio.sleep(1)  # until all of them wait
                signal = "SIGTERM" if obeys else "SIGKILL"
                began = perf_counter()
                kills = [_post(http, f"{name}/kill?signal={signal}") for name in ids]
                await asyncio.gather(*kills, *ends)
                taken = perf_counter() - began
                for name in ids:
                    removing.create_task(_remove(http, name))
        finally:
            job.kill()
            await asyncio.to_thread(job.wait)
        return taken

    async def _launch(self, *command: str, grace: float = _GRACE) -> subprocess.Popen[bytes]:
        """Start it as a run of our own user, who may use the engine's own socket, too."""
        run_id = self._next_run
        self._next_run += 1
        await self._system.database.execute(
            "INSERT INTO runs (run_id, grace_seconds) VALUES ($1, $2)", run_id, grace
        )
        launcher = (str(CANCEL_EXEC), "--run-id", str(run_id), "--socket", str(self._system.socket))
        job = _popen(*launcher, "--", *command)
        self._system.launchers.append(job)
        return job


def _starter(size: int, *, obeys: bool) -> tuple[str, ...]:
    return (sys.executable, str(_STARTER), IMAGE, str(size), *(_OBEYS if obeys else _RESISTS))


def _popen(*command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


async def _ids(job: subprocess.Popen[bytes]) -> list[str]:
    """Of the containers that it has started."""
    assert job.stdout is not None
    line = await asyncio.to_thread(job.stdout.readline)
    if not line:
        raise ToolError("no containers could be started")
    ids: list[str] = json.loads(line)
    return ids


@asynccontextmanager
async def _engine() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(ENGINE.removeprefix("unix://"), limit=0)
    async with aiohttp.ClientSession("http://engine", connector=connector) as http:
        yield http


async def _post(http: aiohttp.ClientSession, path: str) -> None:
    async with http.post(f"/containers/{path}") as response:
        await response.read()


async def _remove(http: aiohttp.ClientSession, name: str) -> None:
    async with http.delete(f"/containers/{name}?force=1&v=1") as response:
        await response.read()
