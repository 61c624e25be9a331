"""What gateway and worker weigh while nothing happens."""

from tools.bench import load
from tools.bench.output.results import Bar, Results, compared
from tools.bench.stage import Stage

_REQUESTS = 200
"""Served before: what is imported or cached late is there by then."""


class Idle:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def measure(self, results: Results, rounds: int) -> None:
        gateway, worker = [], []
        wanted = load.requests(await self._stage.token(), range(1, _REQUESTS + 1))
        for _ in range(rounds):
            await self._stage.clear()
            await self._stage.add_runs(1, _REQUESTS)
            await self._stage.start_gateway()
            await self._stage.start_worker()
            async with load.Caller(self._stage.port).ready() as caller:
                for request in wanted:
                    await caller.send(request)[1]
            await self._stage.gateway.at_rest()
            await self._stage.worker.at_rest()
            gateway.append(self._stage.gateway.pss_mb())
            worker.append(self._stage.worker.pss_mb())
            await self._stage.gateway.stop()
            await self._stage.worker.stop()
        bar = Bar(at_most=80)
        results.rows += [
            compared("gateway_idle", "memory of an idle gateway (PSS)", "MB", bar, gateway),
            compared("worker_idle", "memory of an idle worker (PSS)", "MB", bar, worker),
        ]
