"""One cancel after the other of processes that obey: to the process's end, and to the row."""

import sys
from pathlib import Path
from statistics import median

from tools.bench.jobs import Jobs
from tools.bench.one_by_one import Taken, one_by_one
from tools.bench.output.results import Bar, Results, compared
from tools.bench.peers.environment import CELERY, DRAMATIQ, Environment
from tools.bench.raw.steps import steps
from tools.bench.system import BenchSystem
from tools.services.native.binaries import find_program

_ABORTS = 5
"""Of dramatiq-abort in each round: each waits for over a second first."""


class Stops:
    """`each` is how many cancels a round has."""

    def __init__(self, system: BenchSystem, peers: Environment | None, each: int) -> None:
        self._each = each
        self._system = system
        self._peers = peers
        self._jobs = Jobs(system)
        self._token = ""
        self._next_run = 1

    async def measure(self, results: Results, rounds: int) -> None:
        await self._system.start_gateway()
        await self._system.start_worker()
        self._token = await self._system.token()
        await self.ours(3)  # what is imported or prepared by the first is not the others' cost
        ours, floor, celery, dramatiq = [], [], [], []
        redis = self._redis()
        for _ in range(rounds):
            ours.append(await self.ours(self._each))
            floor.append(await self._steps(self._each))
            if self._peers is not None:
                celery.append(await self._celery(self._peers, self._each))
                if redis is not None:
                    dramatiq.append(await self._dramatiq(self._peers, redis))
        self._compare_with_steps(results, ours, floor)
        if celery:
            self._compare_with_celery(results, ours, celery)
        if dramatiq:
            self._compare_with_dramatiq(results, ours, dramatiq)

    def _compare_with_steps(
        self, results: Results, ours: list[Taken], floor: list[dict[str, float]]
    ) -> None:
        each = {name: median(taken[name] for taken in floor) for name in floor[0]}
        shown = ", ".join(f"{name} {value:.1f}" for name, value in each.items())
        without = sum(each.values()) - each["confirm"]
        row = compared(
            "stop_recorded",
            "POST sent → row canceled, obedient process, p50",
            "ms",
            Bar(at_most=2, aim=1.3),
            [median(taken.recorded) for taken in ours],
            "sum of its raw steps, each alone",
            [sum(taken.values()) for taken in floor],
            f"the steps in ms: {shown}; a row need not wait for the confirm, and without that "
            f"step the sum is {without:.1f} ms; jobs run as {self._jobs.whose}",
        )
        results.rows.append(row)
        results.latencies["row canceled"] = [ms for taken in ours for ms in taken.recorded]
        results.latencies["202"] = [ms for taken in ours for ms in taken.accepted]

    def _compare_with_celery(
        self, results: Results, ours: list[Taken], celery: list[list[float]]
    ) -> None:
        results.rows.append(
            compared(
                "stop_gone",
                "POST sent → process gone, p50",
                "ms",
                Bar(at_most=0.8),
                [median(taken.gone) for taken in ours],
                "Celery revoke(terminate=True) → process gone",
                [median(taken) for taken in celery],
                "Celery ends its own pool process; the job's child processes live on",
            )
        )
        results.latencies["process gone"] = [ms for taken in ours for ms in taken.gone]
        results.latencies["Celery: process gone"] = [ms for taken in celery for ms in taken]

    def _compare_with_dramatiq(
        self, results: Results, ours: list[Taken], dramatiq: list[list[float]]
    ) -> None:
        results.rows.append(
            compared(
                "stop_gone_dramatiq",
                "the same",
                "ms",
                Bar(at_most=1, below=True),
                [median(taken.gone) for taken in ours],
                "dramatiq-abort: abort() → process gone",
                [median(taken) for taken in dramatiq],
                "for a task that looks at its process every millisecond and has run for over a "
                "second; one that waits in a system call is not stopped",
            )
        )

    async def ours(self, number: int) -> Taken:
        run_ids = range(self._next_run, self._next_run + number)
        self._next_run += number
        await self._jobs.start(run_ids)
        async with one_by_one(self._system, self._token) as one:
            taken = await one.cancel(run_ids)
        await self._jobs.ended()
        return taken

    async def _steps(self, number: int) -> dict[str, float]:
        async with steps(self._system) as (quiet, consumed):
            await quiet.confirm()
            await consumed.deliver()
            return {
                "confirm": median([await quiet.confirm() for _ in range(number)]),
                "deliver": median([await consumed.deliver() for _ in range(number)]),
                "kill and wait": median([quiet.kill() for _ in range(number)]),
                "two commits": median([await quiet.commits() for _ in range(number)]),
            }

    async def _celery(self, peers: Environment, number: int) -> list[float]:
        taken = await self._system.script(peers.python, CELERY, number)
        return [float(ms) for ms in taken]

    async def _dramatiq(self, peers: Environment, redis: Path) -> list[float]:
        taken = await self._system.script(peers.python, DRAMATIQ, _ABORTS, redis)
        return [float(ms) for ms in taken]

    def _redis(self) -> Path | None:
        """The program of the server through which dramatiq-abort sends aborts."""
        if self._peers is None:
            return None
        found = find_program("redis-server")
        if found is None:
            print("bench: dramatiq-abort: skipped, redis-server is not installed", file=sys.stderr)
        return found
