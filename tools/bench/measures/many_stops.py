"""Up to 1,000 live process trees on one host: one by one among them, and all at once."""

import asyncio
import signal
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from tools.bench import load
from tools.bench.jobs import OBEYS, RESISTS, Jobs
from tools.bench.measures.growth import medians
from tools.bench.one_by_one import one_by_one
from tools.bench.output.results import Bar, Results, compared, flatness
from tools.bench.system import BenchSystem
from worker.processes.cgroup import Cgroup

SIZES = (10, 100, 1_000)
_SINGLY = 10
_CONNECTIONS = 64
_AT_ONCE = 10  # commits, in the second floor

_COMMIT = """
    UPDATE runs SET status = 'canceled', finished_at = now(), proof = 'scans_empty'
     WHERE run_id = $1 AND status = 'canceling'
"""
_IS_OVER = "SELECT NOT EXISTS (SELECT FROM runs WHERE status IN ('running', 'canceling'))"


class ManyStops:
    def __init__(self, system: BenchSystem, sizes: tuple[int, ...] = SIZES) -> None:
        self._system = system
        self._sizes = sizes
        self._jobs = Jobs(system)
        self._token = ""
        self._next_run = 1
        self._memory: dict[str, list[float]] = {"gateway": [], "worker": []}

    async def measure(self, results: Results, rounds: int) -> None:
        singly: dict[int, list[float]] = {size: [] for size in self._sizes}
        together: dict[int, list[float]] = {size: [] for size in self._sizes}
        floor = []
        try:
            self._token = await self._system.token()
            for _ in range(rounds):
                await self._system.clear()
                await self._system.start_gateway()
                await self._system.start_worker()
                for size in self._sizes:
                    singly[size].append(await self._one_by_one(size))
                    together[size].append(await self._all_at_once(size))
                floor.append(await self._floor(self._sizes[-1]))
        finally:
            await self._jobs.kill_launchers()
        results.growth["one by one, by live trees"] = medians(singly)
        results.growth["all at once, by live trees"] = medians(together)
        self._report(results, singly, together, floor)

    def _report(
        self,
        results: Results,
        singly: dict[int, list[float]],
        together: dict[int, list[float]],
        floor: list[tuple[float, float]],
    ) -> None:
        most = self._sizes[-1]
        seconds = [ms * most / 1000 for ms in together[most]]
        at_once = median(both[1] for both in floor)
        results.rows.append(
            compared(
                "many_stops",
                f"{most:,} live trees canceled at once: first publish → last row",
                "s",
                Bar(at_most=1.3),
                seconds,
                f"bare cgroup.kill loop + {most:,} commits",
                [both[0] for both in floor],
                f"with {_AT_ONCE} commits of the floor under way at a time: {at_once:.2f} s; "
                f"jobs run as {self._jobs.whose}",
            )
        )
        sizes = "/".join(f"{size:,}" for size in self._sizes)
        results.rows += [
            flatness("flat_trees", f"a cancel among {sizes} live trees", singly, 1.15),
            flatness("flat_many_stops", f"a cancel of {sizes} live trees at once", together),
        ]
        for name, taken in self._memory.items():
            measure = f"memory of the {name} with {most:,} stops in progress (PSS)"
            results.rows.append(compared(f"{name}_busy", measure, "MB", Bar(at_most=150), taken))

    async def _start(self, size: int, command: tuple[str, ...] = OBEYS) -> range:
        run_ids = range(self._next_run, self._next_run + size)
        self._next_run += size
        await self._jobs.start(run_ids, command)
        return run_ids

    async def _one_by_one(self, size: int) -> float:
        """Leaves `size` trees alive."""
        run_ids = await self._start(size)
        await self._system.analyze()
        async with one_by_one(self._system, self._token) as one:
            taken = await one.cancel(run_ids[:_SINGLY])
        await self._start(_SINGLY)
        return median(taken.recorded)

    async def _all_at_once(self, size: int) -> float:
        """Milliseconds per cancel, from the first publish to the last row."""
        query = "SELECT array_agg(run_id) FROM runs WHERE status = 'running'"
        run_ids = await self._system.database.fetchval(query)
        assert len(run_ids) == size
        began = perf_counter()
        await self._system.publish(run_ids)
        await self._system.until(_IS_OVER)
        taken = (perf_counter() - began) * 1000 / size
        await self._jobs.ended()
        return taken

    async def _floor(self, size: int) -> tuple[float, float]:
        """Seconds for the same trees, which here resist, so that stops of them are under way.

        With one commit after the other, and with some at a time.
        """
        run_ids = await self._start(size, RESISTS)
        await self._system.database.execute("UPDATE runs SET grace_seconds = 600")
        await self._under_way(run_ids)
        await self._system.worker.stop(signal.SIGKILL)
        rows = await self._system.database.fetch(
            "SELECT run_id, cgroup FROM runs WHERE status = 'canceling'"
        )
        assert len(rows) == size
        began = perf_counter()
        _kill_all([row["cgroup"] for row in rows])
        killed = perf_counter() - began
        # Both kinds of commits, on halves of the runs.
        half = size // 2
        one_by_one = await self._commit([row["run_id"] for row in rows[:half]], 1)
        at_once = await self._commit([row["run_id"] for row in rows[half:]], _AT_ONCE)
        await self._jobs.kill_launchers()
        await self._system.gateway.stop()
        return killed + one_by_one * size / half, killed + at_once * size / (size - half)

    async def _under_way(self, run_ids: range) -> None:
        """Cancel all by POST, and weigh gateway and worker once every stop has begun."""
        wanted = load.requests(self._token, run_ids)
        await load.all_of(self._system.port, wanted, _CONNECTIONS)
        query = "SELECT count(*) = $1 FROM runs WHERE status = 'canceling'"
        await self._system.until(query, len(run_ids))
        await self._system.gateway.at_rest()
        await self._system.worker.at_rest()
        self._memory["gateway"].append(self._system.gateway.pss_mb())
        self._memory["worker"].append(self._system.worker.pss_mb())

    async def _commit(self, run_ids: list[int], connections: int) -> float:
        left = iter(run_ids)

        async def work() -> None:
            async with self._system.database.acquire() as connection:
                await connection.execute(_COMMIT, 0)
                for run_id in left:
                    await connection.execute(_COMMIT, run_id)

        began = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(work())
        return perf_counter() - began


def _kill_all(paths: list[str]) -> None:
    cgroups = [Cgroup(Path(path)) for path in paths]
    for cgroup in cgroups:
        cgroup.kill()
    for cgroup in cgroups:
        while cgroup.is_populated():
            sleep(0.0005)
        cgroup.remove()
