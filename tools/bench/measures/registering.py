"""Runs registered: 1,000 by one POST, and one by one by message."""

import asyncio
import json
from collections.abc import Sequence
from time import perf_counter, time
from typing import Final

import aio_pika

from shared.amqp.keys import QUEUED_KEY
from tools.bench import load
from tools.bench.output.results import Bar, Results, compared
from tools.bench.programs import seconds_of
from tools.bench.system import BenchSystem
from tools.errors import ToolError

QUEUED_TYPE: Final = "ci.run.queued.v1"
_BATCH: Final = 1_000
_POSTS: Final = 10
"""Of a round."""
_AT_ONCE: Final = 500


class Registering:
    """Each run has two labels. `messages`: those that wait in the queue when a worker starts."""

    def __init__(self, system: BenchSystem, messages: int) -> None:
        self._system = system
        self._messages = messages
        self._next_run = 1

    async def measure(self, results: Results, rounds: int) -> None:
        await self._system.start_gateway()
        token = await self._system.token()
        await self._post(token)  # what the first one prepares is not the others' cost
        posted = [await self._post(token) for _ in range(rounds * _POSTS)]
        by_round = [posted[at : at + _POSTS] for at in range(0, len(posted), _POSTS)]
        results.latencies[f"{_BATCH:,} runs registered"] = posted
        results.rows.append(
            compared(
                "register_batch",
                f"POST of {_BATCH:,} runs → 200, the slowest of {_POSTS}",
                "ms",
                Bar(at_most=200),
                [max(taken) for taken in by_round],
            )
        )
        results.rows.append(
            compared(
                "register_messages",
                f"runs registered by {self._messages:,} waiting messages",
                "/s",
                # Ten times 10,000 per minute.
                Bar(at_least=round(10 * 10_000 / 60)),
                [await self._consumed() for _ in range(rounds)],
            )
        )

    async def _post(self, token: str) -> float:
        """Milliseconds to the answer."""
        run_ids = self._take(_BATCH)
        runs = [registration(run_id) for run_id in run_ids]
        request = load.request("/api/v1/runs", token, json.dumps({"runs": runs}).encode())
        async with load.Caller(self._system.port).ready() as caller:
            sent_at, answer = caller.send(request)
            if await answer != 200:
                raise ToolError(f"the gateway answered POST /api/v1/runs with {answer.result()}")
            taken = (perf_counter() - sent_at) * 1000
        await self._require_registered(run_ids[0], _BATCH)
        return taken

    async def _consumed(self) -> float:
        """Runs per second from when the worker has its connection until the last is on record."""
        await self._system.clear()
        run_ids = self._take(self._messages)
        await self._publish(run_ids)
        await self._system.analyze()
        worker = await self._system.start_worker()
        name = f"cancel-worker {self._system.host}"
        began = seconds_of(await worker.event("rabbitmq_connected", connection=name))
        query = "SELECT count(*) = $1 FROM runs WHERE run_id >= $2"
        await self._system.until(query, len(run_ids), run_ids[0])
        seconds = time() - began
        await worker.stop()
        return len(run_ids) / seconds

    async def _publish(self, run_ids: Sequence[int]) -> None:
        exchange = await self._system.channel.get_exchange(
            self._system.topology.commands, ensure=False
        )
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(run_id: int) -> None:
            message = aio_pika.Message(
                json.dumps(registration(run_id)).encode(),
                message_id=f"registers-{run_id}",
                type=QUEUED_TYPE,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            async with places:
                await exchange.publish(message, QUEUED_KEY, mandatory=True)

        async with asyncio.TaskGroup() as tasks:
            for run_id in run_ids:
                tasks.create_task(one(run_id))

    async def _require_registered(self, first: int, number: int) -> None:
        query = "SELECT count(*) FROM runs WHERE run_id >= $1 AND labels <> '{}'"
        if (found := await self._system.database.fetchval(query, first)) != number:
            raise ToolError(f"{found} of {number} runs are registered")

    def _take(self, number: int) -> range:
        self._next_run += number
        return range(self._next_run - number, self._next_run)


def registration(run_id: int) -> dict[str, object]:
    return {"run_id": run_id, "labels": {"branch": "main", "commit": f"{run_id:040x}"}}
