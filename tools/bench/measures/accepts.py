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
        exchange = self._system.topology.commands
        both = await self._system.start_raw_http(exchange, CANCEL_KEY)
        accepted = await self._throughput(results, wanted, rounds, both)
        if self._times.latency:
            await self._latency(results, wanted, rounds, accepted / 2, both)

    async def _throughput(
        self, results: Results, wanted: list[bytes], rounds: int, plain: int
    ) -> float:
        """`plain` is the port of a process that publishes, answers, and does nothing else."""
        ours, published, limit, both = [], [], [], []
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
            limit.append(1 / (1 / answered + 1 / published[-1]))
            both.append(await load.closed_loop(plain, wanted, CONNECTIONS, WARM, seconds))
            await self._system.purge()
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
                "what one process could do, computed from two that do half: answer with fixed "
                "bytes (aiohttp), and publish with confirms (aio-pika)",
                limit,
            )
        )
        results.rows.append(
            compared(
                "accepts_plain",
                "the same",
                "/s",
                Bar(at_least=1),
                ours,
                "one process that does both, with aiohttp and aio-pika, and nothing else",
                both,
            )
        )
        return median(ours)

    async def _latency(
        self, results: Results, wanted: list[bytes], rounds: int, rate: float, plain: int
    ) -> None:
        ours: list[list[float]] = []
        floor: list[list[float]] = []
        both: list[list[float]] = []
        for _ in range(rounds):
            seconds = self._times.latency
            ours.append(await load.open_loop(self._system.port, wanted, CONNECTIONS, rate, seconds))
            await self._system.purge()
            floor.append((await self._raw("open", seconds, rate))["latencies"])
            await self._system.purge()
            both.append(await load.open_loop(plain, wanted, CONNECTIONS, rate, seconds))
            await self._system.purge()
        results.latencies["accepted"] = [ms for taken in ours for ms in taken]
        results.latencies["raw confirmed publish"] = [ms for taken in floor for ms in taken]
        results.latencies["aiohttp and aio-pika"] = [ms for taken in both for ms in taken]
        raw, plainly = "raw confirmed publish at the same rate", "aiohttp and aio-pika alone"
        for percent, other, theirs, bar in (
            (99, raw, floor, Bar(at_most=2, aim=1.3)),
            (99, plainly, both, Bar(at_most=1)),
            (99.9, raw, floor, Bar()),
            (99.9, plainly, both, Bar()),
        ):
            results.rows.append(
                compared(
                    f"accept_p{percent}" + ("" if other == raw else "_plain"),
                    f"accept latency at half of that load ({rate:,.0f}/s), p{percent}",
                    "ms",
                    bar,
                    [percentile(taken, percent) for taken in ours],
                    f"{other}, p{percent}",
                    [percentile(taken, percent) for taken in theirs],
                )
            )

    async def _raw(self, mode: str, seconds: float, amount: float) -> Any:
        exchange = self._system.topology.commands
        return await self._system.script(
            sys.executable, PUBLISH, exchange, CANCEL_KEY, mode, seconds, amount
        )
