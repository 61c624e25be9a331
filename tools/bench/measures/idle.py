"""What gateway and worker weigh while nothing happens."""

from tools.bench import load
from tools.bench.output.results import Bar, Results, compared
from tools.bench.system import BenchSystem

_REQUESTS = 200
"""Served before: what is imported or cached late is there by then."""


class Idle:
    def __init__(self, system: BenchSystem) -> None:
        self._system = system

    async def measure(self, results: Results, rounds: int) -> None:
        gateway, worker = [], []
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
            await self._system.gateway.stop()
            await self._system.worker.stop()
        bar = Bar(at_most=80)
        results.rows += [
            compared("gateway_idle", "memory of an idle gateway (PSS)", "MB", bar, gateway),
            compared("worker_idle", "memory of an idle worker (PSS)", "MB", bar, worker),
        ]
