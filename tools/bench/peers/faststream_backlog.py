"""The backlog as FastStream works it off: one handler, one transaction per message.

    faststream_backlog.py QUEUE COUNT

AMQP_URL and DATABASE_URL say where; prints {"seconds": …}, from the broker being connected.
"""

import asyncio
import json
import os
import sys
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

_PREFETCH = 1000
_POOL = 10
_LEAVE = 10.0

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


async def main(queue: str, count: int) -> float:
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=_POOL, max_size=_POOL)
    broker = RabbitBroker(
        os.environ["AMQP_URL"],
        default_channel=Channel(prefetch_count=_PREFETCH),
        logger=None,
        # What `stop` waits for: the last acknowledgements.
        graceful_timeout=_LEAVE,
    )
    done = asyncio.Event()
    left = count

    # The queue is there, with arguments that only its owner knows: not declared, just consumed.
    @broker.subscriber(RabbitQueue(queue, QueueType.QUORUM, durable=True, declare=False))
    async def cancel(command: dict[str, Any]) -> None:
        nonlocal left
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_CANCEL, command["run_id"])
            await connection.execute(
                _RECORD,
                UUID(command["command_id"]),
                command["run_id"],
                command.get("requested_by"),
                command.get("reason"),
            )
        left -= 1
        if not left:
            done.set()

    await broker.connect()
    began = perf_counter()
    await broker.start()
    await done.wait()
    seconds = perf_counter() - began
    await broker.stop()
    await pool.close()
    return seconds


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds = runner.run(main(sys.argv[1], int(sys.argv[2])))
    print(json.dumps({"seconds": seconds}))
