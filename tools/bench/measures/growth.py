"""What a cancel costs as the tables grow."""

from statistics import median

from tools.bench.measures.backlog import Backlog
from tools.bench.one_by_one import one_by_one
from tools.bench.output.results import Results, flatness
from tools.bench.system import BenchSystem

SIZES = (100, 1_000, 10_000)
_EACH = 50

# All runs but the last few are over, each with a command of its own.
_FILL = """
    WITH finished AS (
        UPDATE runs SET status = 'canceled', finished_at = now(), proof = 'never_started'
         WHERE run_id <= $1
        RETURNING run_id
    )
    INSERT INTO cancellations (command_id, run_id, via, force, outcome, finished_at, evidence)
    SELECT gen_random_uuid(), run_id, 'rest', false, 'canceled', now(),
           '{"proof": "never_started"}'
      FROM finished
"""
# What was filled in wrote events, and the relay is busy with them for seconds.
_ALL_TOLD = "SELECT NOT EXISTS (SELECT FROM outbox)"


class TableGrowth:
    def __init__(self, system: BenchSystem) -> None:
        self._system = system

    async def measure(self, results: Results, rounds: int) -> None:
        singly: dict[int, list[float]] = {size: [] for size in SIZES}
        together: dict[int, list[float]] = {size: [] for size in SIZES}
        await self._system.start_gateway()
        token = await self._system.token()
        for _ in range(rounds):
            worker = await self._system.start_worker()
            for size in SIZES:
                singly[size].append(await self._one_by_one(token, size))
            await worker.stop()
            for size in SIZES:
                per_second = await Backlog(self._system, size, None).ours(size)
                together[size].append(1000 / per_second)
        results.growth["one by one, by runs in the tables"] = medians(singly)
        results.growth["all at once, by queued runs"] = medians(together)
        sizes = "/".join(f"{size:,}" for size in SIZES)
        results.rows += [
            flatness("flat_tables", f"a cancel at {sizes} runs in the tables", singly),
            flatness("flat_backlog", f"a cancel in a backlog of {sizes}", together),
        ]

    async def _one_by_one(self, token: str, size: int) -> float:
        await self._system.clear()
        run_ids = await self._system.add_runs(1, size)
        await self._system.database.execute(_FILL, size - _EACH)
        await self._system.until(_ALL_TOLD)
        await self._system.analyze()
        async with one_by_one(self._system, token) as one:
            taken = await one.cancel(run_ids[-_EACH:])
        return median(taken.recorded)


def medians(costs: dict[int, list[float]]) -> dict[int, float]:
    """Of the rounds, by size."""
    return {size: round(median(taken), 4) for size, taken in costs.items()}
