"""What the gateway accepts, and how fast it answers at half of that."""

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from shared.amqp.keys import CANCEL_KEY
from tools.bench import load, raw
from tools.bench.output.results import Bar, Results, compared, percentile
from tools.bench.system import BenchSystem

PUBLISH = Path(raw.__file__).with_name("publish.py")

CONNECTIONS = 64
_RUNS = 10_000
WARM = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each round."""

    throughput: float
    latency: float


class Accepts:
    """One gateway, no worker: what is published stays in the queue until the round is over."""

    def __init__(self, system: BenchSystem, times: Times) -> None:
        self._system = system
        self._times = times

    async def measure(self, results: Results, rounds: int) -> None:
        await self._system.add_runs(1, _RUNS)
        await self._system.analyze()
        await self._system.start_gateway()
        wanted = load.requests(await self._system.token(), range(1, _RUNS + 1))
        accepted = await self._throughput(results, wanted, rounds)
        if self._times.latency:
            await self._latency(results, wanted, rounds, accepted / 2)

    async def _throughput(self, results: Results, wanted: list[bytes], rounds: int) -> float:
        ours, published, both = [], [], []
        http = await self._system.start_raw_http()
        for _ in range(rounds):
            seconds = self._times.throughput
            ours.append(
                await load.closed_loop(self._system.port, wanted, CONNECTIONS, WARM, seconds)
            )
            await self._system.purge()
            published.append((await self._raw("closed", seconds, CONNECTIONS))["per_second"])
            await self._system.purge()
            answered = await load.closed_loop(http, wanted, CONNECTIONS, WARM, seconds)
            both.append(1 / (1 / answered + 1 / published[-1]))
        results.rows.append(
            compared(
                "accepts",
                f"accepts, one gateway, {CONNECTIONS} connections",
                "/s",
                Bar(at_least=0.55, aim=0.8),
                ours,
                f"raw confirmed publish, {CONNECTIONS} in flight",
                published,
            )
        )
        results.rows.append(
            compared(
                "accepts_limit",
                "the same",
                "/s",
                Bar(at_least=0.85),
                ours,
                "one process that does both and nothing else: answers with fixed bytes (aiohttp), "
                "raw confirmed publish",
                both,
            )
        )
        return median(ours)

    async def _latency(
        self, results: Results, wanted: list[bytes], rounds: int, rate: float
    ) -> None:
        ours: list[list[float]] = []
        floor: list[list[float]] = []
        for _ in range(rounds):
            seconds = self._times.latency
            ours.append(await load.open_loop(self._system.port, wanted, CONNECTIONS, rate, seconds))
            await self._system.purge()
            floor.append((await self._raw("open", seconds, rate))["latencies"])
            await self._system.purge()
        results.latencies["accepted"] = [ms for taken in ours for ms in taken]
        results.latencies["raw confirmed publish"] = [ms for taken in floor for ms in taken]
        results.rows.append(
            compared(
                "accept_p99",
                f"accept latency at half of that load ({rate:,.0f}/s), p99",
                "ms",
                Bar(at_most=2, aim=1.3),
                [percentile(taken, 99) for taken in ours],
                "raw confirmed publish at the same rate, p99",
                [percentile(taken, 99) for taken in floor],
            )
        )

    async def _raw(self, mode: str, seconds: float, amount: float) -> Any:
        exchange = self._system.topology.commands
        return await self._system.script(
            sys.executable, PUBLISH, exchange, CANCEL_KEY, mode, seconds, amount
        )
