"""Plain aio-pika consumers of a backlog: each message on its own.

    consume.py QUEUE COUNT ack           consume and acknowledge; no database
    consume.py QUEUE COUNT transaction   cancel the queued run, record the command, commit, ack

AMQP_URL and DATABASE_URL say where; prints {"seconds": …}, from the connection being open.
"""

import asyncio
import json
import os
import sys
from time import perf_counter
from uuid import UUID

import aio_pika
import asyncpg
import uvloop
from aio_pika.abc import AbstractIncomingMessage

_PREFETCH = 1000
_POOL = 10

_CANCEL = """
    UPDATE runs
       SET status = 'canceled', finished_at = clock_timestamp(), proof = 'never_started'
     WHERE run_id = $1 AND status = 'queued'
"""
_RECORD = """
    INSERT INTO cancellations
           (command_id, run_id, via, requested_by, reason, force, outcome, finished_at, evidence)
    VALUES ($1, $2, 'direct', $3, $4, false, 'canceled', clock_timestamp(),
            '{"proof": "never_started"}')
    ON CONFLICT (command_id) DO NOTHING
"""


class Consumer:
    def __init__(self, count: int, pool: "asyncpg.Pool[asyncpg.Record] | None") -> None:
        self._left = count
        self._pool = pool
        self.done = asyncio.Event()

    async def take(self, message: AbstractIncomingMessage) -> None:
        if self._pool is not None:
            await self._record(self._pool, message.body)
        await message.ack()
        self._left -= 1
        if not self._left:
            self.done.set()

    async def _record(self, pool: "asyncpg.Pool[asyncpg.Record]", body: bytes) -> None:
        command = json.loads(body)
        run_id = command["run_id"]
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_CANCEL, run_id)
            await connection.execute(
                _RECORD,
                UUID(command["command_id"]),
                run_id,
                command.get("requested_by"),
                command.get("reason"),
            )


async def main(queue: str, count: int, mode: str) -> float:
    pool = None
    if mode == "transaction":
        pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=_POOL, max_size=_POOL)
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    began = perf_counter()
    async with connection:
        consumer = Consumer(count, pool)
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_PREFETCH)
        await (await channel.get_queue(queue, ensure=False)).consume(consumer.take)
        await consumer.done.wait()
        seconds = perf_counter() - began
    if pool is not None:
        await pool.close()
    return seconds


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds = runner.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
    print(json.dumps({"seconds": seconds}))
