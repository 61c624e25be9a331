"""A full queue of cancels of queued runs, worked off by us and by what others would write."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, time

from tools.bench import raw
from tools.bench.output.results import Bar, Results, compared
from tools.bench.peers.environment import FASTSTREAM, Environment
from tools.bench.programs import seconds_of
from tools.bench.system import BenchSystem
from tools.errors import ToolError

_OF_PEERS = 5
"""Peers with a transaction per message get a fifth of the runs: their rate does not depend on it,
and on a slow machine 10,000 took three minutes of the bench."""
# Seconds that the broker may take to count what was acknowledged.
_SETTLE = 5.0

CONSUME = Path(raw.__file__).with_name("consume.py")


class Backlog:
    """Each starts on a full queue; time counts from when its connection is open."""

    def __init__(self, system: BenchSystem, runs: int, peers: Environment | None) -> None:
        self._system = system
        self._runs = runs
        self._peers = peers

    async def measure(self, results: Results, rounds: int) -> None:
        ours, acks, plain, stream = [], [], [], []
        for _ in range(rounds):
            ours.append(await self.ours(self._runs))
            acks.append(await self._script(self._runs, sys.executable, CONSUME, "ack"))
            if self._peers is not None:
                few = self._runs // _OF_PEERS
                plain.append(await self._script(few, sys.executable, CONSUME, "transaction"))
                stream.append(await self._script(few, self._peers.python, FASTSTREAM))
        measure = f"backlog of {self._runs:,} queued runs canceled"
        results.rows.append(
            compared(
                "backlog_raw",
                measure,
                "/s",
                Bar(at_least=1.6),
                ours,
                "raw consume, single acks, no database",
                acks,
            )
        )
        if self._peers is not None:
            against = "plain aio-pika, a transaction per message"
            bar = Bar(at_least=4)
            results.rows.append(
                compared("backlog_plain", "the same", "/s", bar, ours, against, plain)
            )
            results.rows.append(
                compared(
                    "backlog_faststream",
                    "the same",
                    "/s",
                    bar,
                    ours,
                    "FastStream, a transaction per message",
                    stream,
                )
            )

    async def ours(self, runs: int, env: Mapping[str, str] | None = None) -> float:
        """Commands per second until the last row is committed; by a worker with these settings."""
        last = await self._fill(runs)
        worker = await self._system.start_worker(env)
        name = f"cancel-worker {self._system.host}"
        began = seconds_of(await worker.event("rabbitmq_connected", connection=name))
        await self._system.until("SELECT status = 'canceled' FROM runs WHERE run_id = $1", last)
        await self._system.until("SELECT NOT EXISTS (SELECT FROM runs WHERE status = 'queued')")
        seconds = time() - began
        await worker.stop()
        await self._require_done(runs, "the worker")
        return runs / seconds

    async def _script(self, runs: int, python: str, path: Path, *mode: str) -> float:
        await self._fill(runs)
        queue = self._system.topology.cancel
        result = await self._system.script(python, path, queue, runs, *mode)
        if mode != ("ack",):
            await self._require_done(runs, path.name)
        return float(runs / result["seconds"])

    async def _fill(self, runs: int) -> int:
        await self._system.clear()
        run_ids = await self._system.add_runs(1, runs)
        await self._system.analyze()
        await self._system.publish(run_ids)
        return run_ids[-1]

    async def _require_done(self, runs: int, who: str) -> None:
        done = await self._system.database.fetchval(
            "SELECT count(*) FROM cancellations WHERE outcome = 'canceled'"
        )
        end = monotonic() + _SETTLE
        # The broker tells nobody when a queue has become empty; this is not timed.
        while (left := await self._left()) and monotonic() < end:
            await asyncio.sleep(0.05)
        if done != runs or left:
            raise ToolError(f"{who} carried out {done} of {runs} commands, {left} are in the queue")

    async def _left(self) -> int:
        async with asyncio.timeout(10):
            queue = await self._system.channel.declare_queue(
                self._system.topology.cancel, passive=True
            )
        return queue.declaration_result.message_count or 0
