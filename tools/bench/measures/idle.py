"""What gateway and worker cost while nothing happens: memory, and processor time."""

import asyncio

from tools.bench import load
from tools.bench.output.results import Bar, Results, compared
from tools.bench.programs import Served, cpu_seconds_exactly
from tools.bench.system import BenchSystem

_REQUESTS = 200
"""Served before: what is imported or cached late is there by then."""


class Idle:
    def __init__(self, system: BenchSystem, seconds: float) -> None:
        """`seconds` is how long each round watches them idle; 0 leaves processor time out."""
        self._system = system
        self._seconds = seconds

    async def measure(self, results: Results, rounds: int) -> None:
        gateway, worker = [], []
        gateway_cpu, worker_cpu = [], []
        wanted = load.requests(await self._system.token(), range(1, _REQUESTS + 1))
        for _ in range(rounds):
            await self._system.clear()
            await self._system.add_runs(1, _REQUESTS)
            await self._system.start_gateway()
            await self._system.start_worker()
            async with load.Caller(self._system.port).ready() as caller:
                for request in wanted:
                    await caller.send(request)[1]
            await self._system.gateway.at_rest()
            await self._system.worker.at_rest()
            gateway.append(self._system.gateway.pss_mb())
            worker.append(self._system.worker.pss_mb())
            if self._seconds:
                before = [cpu_seconds_exactly(each.pid) for each in self._programs]
                # The length of time that is measured over.
                await asyncio.sleep(self._seconds)
                after = [cpu_seconds_exactly(each.pid) for each in self._programs]
                shares = [
                    100 * (now - then) / self._seconds
                    for then, now in zip(before, after, strict=True)
                ]
                gateway_cpu.append(shares[0])
                worker_cpu.append(shares[1])
            for program in self._programs:
                await program.stop()
        bar = Bar(at_most=45)
        results.rows += [
            compared("gateway_idle", "memory of an idle gateway (PSS)", "MB", bar, gateway),
            compared("worker_idle", "memory of an idle worker (PSS)", "MB", bar, worker),
        ]
        if self._seconds:
            bar = Bar(at_most=0.1)
            results.rows += [
                compared(
                    "gateway_idle_cpu", "an idle gateway's share of a core", "%", bar, gateway_cpu
                ),
                compared(
                    "worker_idle_cpu", "an idle worker's share of a core", "%", bar, worker_cpu
                ),
            ]

    @property
    def _programs(self) -> tuple[Served, Served]:
        return self._system.gateway, self._system.worker
