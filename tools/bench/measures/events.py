"""What telling costs: the same with the triggers as they are, and with ones that tell nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import Final

from tools.bench import load
from tools.bench.jobs import Jobs
from tools.bench.measures.accepts import CONNECTIONS, WARM
from tools.bench.measures.backlog import Backlog
from tools.bench.one_by_one import one_by_one
from tools.bench.output.results import Bar, Results, compared
from tools.bench.system import BenchSystem
from tools.bench.telling import Telling

_FIRST_SINGLE: Final = 1_000_000
"""Run ids of single cancels: above those of the backlog."""
_ACCEPT_SECONDS: Final = 3.0

_Rounds = dict[bool, list[float]]
"""Figures with events on, and off."""


class Events:
    """A queue takes all events, as for a platform that listens."""

    def __init__(self, system: BenchSystem, runs: int, each: int) -> None:
        """`runs`: commands in a backlog; `each`: single cancels of a round."""
        self._system = system
        self._runs = runs
        self._each = each
        self._jobs = Jobs(system)
        self._next_run = _FIRST_SINGLE
        self._telling = Telling(system.database)

    async def measure(self, results: Results, rounds: int) -> None:
        await self._telling.remember()
        async with self._listening():
            backlog = Backlog(self._system, self._runs, None)
            per_second = await self._side_by_side(rounds, lambda: backlog.ours(self._runs))
            await self._system.clear()
            accepted = await self._accepts(rounds)
            single = await self._singles(rounds)
        self._show(results, per_second, accepted, single)

    async def _side_by_side(self, rounds: int, measured: Callable[[], Awaitable[float]]) -> _Rounds:
        taken: _Rounds = {True: [], False: []}
        for number in range(rounds):
            # Neither is always first.
            for telling in (True, False) if number % 2 else (False, True):
                await self._telling.turn(on=telling)
                taken[telling].append(await measured())
        await self._telling.turn(on=True)
        return taken

    async def _accepts(self, rounds: int) -> _Rounds:
        """Without a worker: what is accepted stays in the queue, as in the measure of accepts."""
        run_ids = await self._system.add_runs(1, self._runs)
        await self._system.analyze()
        await self._system.start_gateway()
        wanted = load.requests(await self._system.token(), run_ids)

        async def accepts() -> float:
            rate = await load.closed_loop(
                self._system.port, wanted, CONNECTIONS, WARM, _ACCEPT_SECONDS
            )
            await self._system.purge()
            return rate

        return await self._side_by_side(rounds, accepts)

    async def _singles(self, rounds: int) -> _Rounds:
        await self._system.clear()
        await self._system.start_worker()
        token = await self._system.token()

        async def single() -> float:
            run_ids = range(self._next_run, self._next_run + self._each)
            self._next_run += self._each
            await self._jobs.start(run_ids)
            async with one_by_one(self._system, token) as one:
                taken = await one.cancel(run_ids)
            await self._jobs.ended()
            return median(taken.recorded)

        await single()  # what the first ones prepare is not the others' cost
        return await self._side_by_side(rounds, single)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        channel = self._system.channel
        queue = await channel.declare_queue(
            f"{self._system.topology.prefix}events-taken",
            durable=True,
            arguments={"x-queue-type": "quorum"},
        )
        await queue.bind(self._system.topology.events, "#")
        try:
            yield
        finally:
            await channel.queue_delete(queue.name)

    def _show(
        self, results: Results, per_second: _Rounds, accepted: _Rounds, single: _Rounds
    ) -> None:
        results.rows.append(
            compared(
                "events_backlog",
                f"backlog of {self._runs:,} queued runs canceled, time for all",
                "s",
                Bar(at_most=1.15),
                [self._runs / rate for rate in per_second[True]],
                "the same without events",
                [self._runs / rate for rate in per_second[False]],
            )
        )
        results.rows.append(
            compared(
                "events_accepts",
                f"accepts, one gateway, {CONNECTIONS} connections",
                "/s",
                Bar(at_least=0.95),
                accepted[True],
                "the same without events",
                accepted[False],
            )
        )
        differences = [on - off for on, off in zip(single[True], single[False], strict=True)]
        on, off = median(single[True]), median(single[False])
        results.rows.append(
            compared(
                "events_single",
                "POST sent → row canceled, p50: what events add",
                "ms",
                Bar(at_most=0.5),
                differences,
                note=f"{on:.2f} ms with events, {off:.2f} ms without",
            )
        )
