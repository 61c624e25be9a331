"""Cancels beside many hosts and many runs, what hosts cost, and a return to many commands."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import Final

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tools.bench import host_return
from tools.bench.filled.fill import fill
from tools.bench.measures.scale import rows
from tools.bench.measures.scale.found import Found
from tools.bench.measures.scale.sizes import Scale
from tools.bench.measures.scale.usage import Watch
from tools.bench.one_by_one import one_by_one
from tools.bench.output.results import Results
from tools.bench.system import BenchSystem
from tools.errors import ToolError
from tools.services import Services
from tools.services.databases import new_database
from tools.support import waiting_commands
from worker.processes.identity import Identity

_WARM: Final = 5
"""Cancels before those that count."""
_EVERY: Final = 0.25
"""Seconds between looks at a worker's memory."""


class Scales:
    """`filled_url`: a database that `tools.bench.filled` has filled; without it, one is filled."""

    def __init__(
        self, system: BenchSystem, scale: Scale | None = None, filled_url: str | None = None
    ) -> None:
        self._system = system
        self._scale = scale or Scale()
        self._filled_url = filled_url

    async def measure(self, results: Results, rounds: int) -> None:
        watch = Watch.on(self._system)
        if watch is None:
            say("skipped, the servers are not processes of this machine")
            return
        found = Found()
        async with self._large() as large, waiting_commands.launcher() as launcher:
            await large.start_worker()
            await self._look(large, watch, found, launcher)
            await asyncio.gather(
                *(start() for start in (self._system.start_gateway, self._system.start_worker)),
                large.start_gateway(),
            )
            few, many = await self._system.token(), await large.token()
            for _ in range(rounds):
                found.few.append(await self._singles(self._system, few))
                found.filled.append(await self._singles(large, many))
                async with self._hosts(large):
                    found.hosts.append(await self._singles(large, many))
                    await large.worker.stop()
                    run_ids = await _next(large, self._scale.returning)
                    await waiting_commands.add_running(
                        large.database, run_ids, large.host, launcher
                    )
                    await self._return(large, run_ids, found)
        rows.show(results, self._scale, found)

    @asynccontextmanager
    async def _large(self) -> AsyncIterator[BenchSystem]:
        """An installation with many runs, beside the bench's own."""
        directory = self._system.directory / "large"
        directory.mkdir()
        directory.chmod(0o755)
        async with (
            self._filled() as url,
            BenchSystem(self._system.amqp_url, url, directory).open() as large,
        ):
            yield large

    @asynccontextmanager
    async def _filled(self) -> AsyncIterator[str]:
        if self._filled_url is not None:
            yield self._filled_url
            return
        services = Services(self._system.database_url, self._system.amqp_url, "")
        async with new_database(services) as url:
            settings = DatabaseSettings.model_validate({"DATABASE_URL": url})
            async with connected(settings) as database:
                await migrate(database)
            await fill(url, self._scale.filled, say)
            yield url

    @asynccontextmanager
    async def _hosts(self, system: BenchSystem, idle: int = 0) -> AsyncIterator[None]:
        """Light hosts, or that number of idle connections for each."""
        options = (
            [str(self._scale.hosts)] if not idle else [str(idle * self._scale.hosts), "--idle"]
        )
        program = await system.serve("tools.bench.light_hosts", f"{system.host}-", *options)
        await program.event("hosts_ready")
        yield
        await program.stop()
        if program.process.returncode != 0:
            raise ToolError(f"the light hosts failed:\n{program.tail()}")

    async def _singles(self, system: BenchSystem, token: str) -> list[float]:
        """Milliseconds from POST to row, of one cancel after the other."""
        async with one_by_one(system, token) as one:
            await one.cancel(await _queued(system, _WARM))
            return (await one.cancel(await _queued(system, self._scale.cancels))).recorded

    async def _look(
        self, system: BenchSystem, watch: Watch, found: Found, launcher: Identity
    ) -> None:
        """What an idle worker takes of the servers, and what many hosts do."""
        pid, seconds = system.worker.pid, self._scale.seconds
        await asyncio.sleep(self._scale.settle)  # no event tells that all is counted
        found.alone = await watch.usage(system, seconds)
        found.broker_connections = watch.broker.connections_of(pid)
        found.database_connections = watch.postgres.connections_of(pid)
        async with self._hosts(system):
            for number in range(self._scale.hosts):
                run_ids = await _next(system, self._scale.runs_per_host)
                host = f"{system.host}-{number}"
                await waiting_commands.add_running(system.database, run_ids, host, launcher)
            await asyncio.sleep(self._scale.settle)
            found.beside = await watch.usage(system, seconds)
            async with self._hosts(system, idle=self._scale.connections - 1):
                found.like_workers = await watch.usage(system, seconds)

    async def _return(self, system: BenchSystem, run_ids: range, found: Found) -> None:
        commands = self._scale.commands // len(run_ids) * len(run_ids)
        for _ in range(commands // len(run_ids)):
            await waiting_commands.add_open(system.database, run_ids)
        await system.analyze()
        memory: list[float] = []
        looking: list[asyncio.Task[None]] = []

        async def look() -> None:
            while True:
                memory.append(system.worker.pss_mb())
                await asyncio.sleep(_EVERY)  # the interval of the samples

        began, ended = await host_return.return_of(
            system, run_ids, commands, lambda: looking.append(asyncio.create_task(look()))
        )
        await system.until("SELECT NOT EXISTS (SELECT FROM outbox)", every=0.02)
        found.published.append(time() - began)
        for task in looking:
            task.cancel()
        found.rates.append(commands / (ended - began))
        found.peaks.append(max(memory))


async def _next(system: BenchSystem, number: int) -> range:
    """Numbers of runs that are not on record."""
    last = await system.database.fetchval("SELECT coalesce(max(run_id), 0) FROM runs")
    return range(last + 1, last + 1 + number)


async def _queued(system: BenchSystem, number: int) -> range:
    run_ids = await _next(system, number)
    return await system.add_runs(run_ids[0], number)


def say(line: str) -> None:
    print(f"bench: scale: {line}", file=sys.stderr, flush=True)
