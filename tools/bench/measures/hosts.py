"""Work of one host that others know of first: a cancel that crosses hosts, commands that waited."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median
from time import time

from tools.bench import host_return
from tools.bench.jobs import Jobs
from tools.bench.one_by_one import one_by_one
from tools.bench.output.results import Bar, Results, compared
from tools.bench.system import BenchSystem
from tools.errors import ToolError
from tools.support import waiting_commands

_EACH = 20
_COMMANDS = 10_000
_CROSSED = "SELECT run_id FROM cancellations WHERE run_id = ANY ($1::bigint[]) AND taken_up > 0"


class Hosts:
    def __init__(self, system: BenchSystem, each: int = _EACH, commands: int = _COMMANDS) -> None:
        self._system = system
        self._each = each
        self._commands = commands
        self._next_run = 1

    async def measure(self, results: Results, rounds: int) -> None:
        await self._measure_crossing(results, rounds)
        await self._measure_return(results, rounds)

    async def _measure_crossing(self, results: Results, rounds: int) -> None:
        crossing, staying = [], []
        await self._system.start_gateway()
        await self._system.start_worker()
        token = await self._system.token()
        async with self._system.neighbor() as other:
            await other.start_worker()
            await self._cancel(other, token, 3)  # what the first ones cost is not the others'
            for _ in range(rounds):
                across, here = await self._cancel(other, token, self._each)
                crossing.append(median(across))
                staying.append(median(here))
            await other.worker.stop()
        await self._system.worker.stop()
        await self._system.gateway.stop()
        more = median(a - b for a, b in zip(crossing, staying, strict=True))
        results.rows.append(
            compared(
                "hosts_crossing",
                "POST sent → row canceled, decided on by the worker of another host, p50",
                "ms",
                Bar(),
                crossing,
                "the same, decided on by the worker of the run's host",
                staying,
                f"crossing costs {more:.2f} ms: a wake, a look and a transaction more",
            )
        )

    async def _cancel(
        self, other: BenchSystem, token: str, number: int
    ) -> tuple[list[float], list[float]]:
        """Milliseconds of cancels that cross hosts, and of as many that do not, in turns."""
        first = self._next_run
        self._next_run += 2 * number
        across, here = range(first, first + number), range(first + number, self._next_run)
        there, own = Jobs(other), Jobs(self._system)
        await there.start(across)
        await own.start(here)
        turns = [run_id for pair in zip(across, here, strict=True) for run_id in pair]
        async with one_by_one(self._system, token) as one:
            taken = (await one.cancel(turns)).recorded
        await there.ended()
        await own.ended()
        rows = await self._system.database.fetch(_CROSSED, turns)
        if {row["run_id"] for row in rows} != set(across):
            raise ToolError(f"of {number} cancels that were to cross hosts, {len(rows)} did")
        return taken[::2], taken[1::2]

    async def _measure_return(self, results: Results, rounds: int) -> None:
        rates, peaks, told = [], [], []
        for _ in range(rounds):
            async with self._commands_that_wait() as run_ids:
                began, ended = await host_return.return_of(self._system, run_ids, self._commands)
                rates.append(self._commands / (ended - began))
                await self._system.until("SELECT NOT EXISTS (SELECT FROM outbox)", every=0.02)
                told.append(time() - began)
                peaks.append(self._system.worker.peak_mb())
                await self._system.worker.stop()
        results.rows.append(
            compared(
                "hosts_return",
                f"{self._commands:,} open commands of a host at its return: "
                "worker connected → last outcome on record",
                "/s",
                Bar(at_least=2_000),
                rates,
                note=f"peak memory of the worker {max(peaks):.0f} MB; last event published "
                f"{median(told):.1f} s after the connection; the processes of the runs had ended",
            )
        )

    @asynccontextmanager
    async def _commands_that_wait(self) -> AsyncIterator[range]:
        """Open commands on runs of our host, whose worker is away."""
        await self._system.clear()
        run_ids = range(1, self._commands + 1)
        async with waiting_commands.launcher() as launcher:
            await waiting_commands.add_running(
                self._system.database, run_ids, self._system.host, launcher
            )
            await waiting_commands.add_open(self._system.database, run_ids)
            await self._system.analyze()
            yield run_ids
