"""A filled database: a prune beside a load of cancels, and how long lists take."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from time import perf_counter
from typing import Any, Final

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import Database, connected
from shared.states import RunStatus
from tools.bench import load
from tools.bench.filled.fill import fill
from tools.bench.filled.sizes import Sizes
from tools.bench.one_by_one import one_by_one
from tools.bench.output.results import Bar, Results, compared, percentile
from tools.bench.system import BenchSystem
from tools.errors import ToolError
from worker.dead_letters import store as letter_store
from worker.dead_letters.wanted import Filter as LetterFilter
from worker.hosts import store as host_store
from worker.runs import store as run_store
from worker.runs.store import Filter

SMALL: Final = Sizes(runs=300_000, cancellations=100_000, letters=20_000)
_RATE: Final = 100.0
"""Cancels per second; others come one after the other."""
_OLDER_THAN: Final = "30d"
_LIMIT: Final = 100
_MANY: Final = timedelta(days=180)

List = Callable[[Database], Awaitable[object]]


def _runs(**wanted: Any) -> List:
    return lambda database: run_store.list_runs(database, Filter(**wanted), _LIMIT)


LISTS: Final[Mapping[str, List]] = {
    "runs": _runs(),
    "runs by status": _runs(status=RunStatus.PASS),
    "runs by a rare status": _runs(status=RunStatus.CANCELING),
    "runs by host": _runs(host="host-7"),
    "runs by host and status": _runs(host="host-7", status=RunStatus.ERROR),
    "runs by label": _runs(labels=(("branch", "feature-7"),)),
    "runs by a common label": _runs(labels=(("repository", "repo-7"),)),
    "runs by two labels": _runs(labels=(("branch", "feature-7"), ("repository", "repo-7"))),
    "runs older than": _runs(older_than=_MANY),
    "passed runs older than": _runs(status=RunStatus.PASS, older_than=_MANY),
    "queued runs older than": _runs(status=RunStatus.QUEUED, older_than=_MANY),
    "hosts": host_store.find_all,
    "host": lambda database: host_store.find_one(database, "host-7"),
    "dead letters": lambda database: letter_store.find(database, LetterFilter(), _LIMIT),
}
_MOST_ROUNDS = 3
"""For more, there are too few rows to prune."""


@dataclass(slots=True)
class _Latencies:
    """Milliseconds from the POST."""

    accepted: list[float] = field(default_factory=list)
    recorded: list[float] = field(default_factory=list)


class Upkeep:
    def __init__(self, system: BenchSystem, sizes: Sizes = SMALL, seconds: float = 10.0) -> None:
        """`seconds`: of load, with and without a prune, in each round."""
        self._system = system
        self._sizes = sizes
        self._seconds = seconds
        self._next_run = count(10 * sizes.runs)
        self._token = ""

    async def measure(self, results: Results, rounds: int) -> None:
        await fill(self._system.database_url, self._sizes, lambda line: None)
        await self.measure_filled(results, rounds)

    async def measure_filled(self, results: Results, rounds: int) -> None:
        lists = await self._lists()
        await self._system.start_gateway()
        await self._system.start_worker()
        self._token = await self._system.token()
        await self._load(_Latencies())  # what the first ones prepare is not the others' cost
        alone, beside = _Latencies(), _Latencies()
        per_second: list[float] = []
        for _ in range(min(rounds, _MOST_ROUNDS)):
            await self._load(alone)
            pruning = await self._start_prune()
            await self._load(beside)
            per_second.append(await self._end_prune(pruning))
        self._show(results, lists, per_second, alone, beside)

    async def _lists(self) -> dict[str, float]:
        """Milliseconds of each, the second time."""
        settings = DatabaseSettings.model_validate({"DATABASE_URL": self._system.database_url})
        taken = {}
        async with connected(settings) as database:
            for name, ask in LISTS.items():
                await ask(database)
                began = perf_counter()
                await ask(database)
                taken[name] = (perf_counter() - began) * 1000
        return taken

    async def _load(self, latencies: _Latencies) -> None:
        """Cancels of queued runs at a steady rate, and beside them one after the other."""
        at_rate = await self._add(int(_RATE * self._seconds))
        singly = await self._add(int(5 * self._seconds))
        wanted = load.requests(self._token, at_rate)
        async with asyncio.TaskGroup() as tasks, one_by_one(self._system, self._token) as one:
            steady = tasks.create_task(
                load.open_loop(self._system.port, wanted, 16, _RATE, self._seconds)
            )
            latencies.recorded += (await one.cancel(singly)).recorded
        latencies.accepted += steady.result()

    async def _add(self, number: int) -> range:
        first = next(self._next_run)
        self._next_run = count(first + number)
        return await self._system.add_runs(first, number)

    async def _start_prune(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "prune", "--older-than", _OLDER_THAN, "--json"),
            env={**os.environ, **self._system.environment},
            stdout=asyncio.subprocess.PIPE,
        )

    async def _end_prune(self, process: asyncio.subprocess.Process) -> float:
        """Rows per second. It is interrupted, and the next one continues."""
        if process.returncode is not None:
            raise ToolError("the prune ended before the load beside it: it had too few rows")
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
        if process.returncode not in (0, 130):
            raise ToolError(f"the prune exited with {process.returncode}")
        done = json.loads(output)
        return float(sum(done["deleted"].values()) / done["seconds"])

    def _show(
        self,
        results: Results,
        lists: Mapping[str, float],
        per_second: list[float],
        alone: _Latencies,
        beside: _Latencies,
    ) -> None:
        name, slowest = max(lists.items(), key=lambda item: item[1])
        size = f"{self._sizes.runs:,} runs"
        for which, of in (("alone", alone), ("beside a prune", beside)):
            results.latencies[f"accepted, {which}"] = of.accepted
            results.latencies[f"POST sent → row canceled, {which}"] = of.recorded
        results.rows += [
            compared(
                "upkeep_lists",
                f"the slowest list of {size}",
                "ms",
                Bar(at_most=300),
                [slowest],
                note=name,
            ),
            compared("upkeep_prune", "rows pruned", "/s", Bar(at_least=20_000), per_second),
            compared(
                "upkeep_accepted",
                f"accept latency beside a prune, {_RATE:g}/s, p99",
                "ms",
                Bar(at_most=2),
                [percentile(beside.accepted, 99)],
                "the same without a prune",
                [percentile(alone.accepted, 99)],
            ),
            compared(
                "upkeep_recorded",
                "POST sent → row canceled beside a prune, p99",
                "ms",
                Bar(at_most=2),
                [percentile(beside.recorded, 99)],
                "the same without a prune",
                [percentile(alone.recorded, 99)],
            ),
        ]
