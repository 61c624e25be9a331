"""Raw confirmed publish: persistent, mandatory, to the quorum queue, on one channel of aio-pika.

    publish.py EXCHANGE KEY closed SECONDS IN_FLIGHT
    publish.py EXCHANGE KEY open SECONDS RATE

AMQP_URL says where; prints {"per_second": …} or {"latencies": […]} in ms.
"""

import asyncio
import json
import os
import sys
from time import perf_counter

import aio_pika
import uvloop
from aio_pika.abc import AbstractExchange

from tools.bench.pace import ticks

_WARM = 0.5  # seconds
# As long as a command of the gateway.
_BODY = json.dumps(
    {
        "command_id": "00000000-0000-4000-8000-000000000000",
        "run_id": 1234,
        "reason": "superseded by a newer commit",
        "requested_by": "bench",
        "requested_at": "2026-01-02T03:04:05.678901Z",
        "force": False,
    }
).encode()


async def main(exchange: str, key: str, mode: str, seconds: float, amount: float) -> object:
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        target = await channel.get_exchange(exchange, ensure=False)
        if mode == "closed":
            return {"per_second": await per_second(target, key, seconds, int(amount))}
        return {"latencies": await latencies(target, key, seconds, amount)}


async def publish(target: AbstractExchange, key: str) -> None:
    message = aio_pika.Message(_BODY, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await target.publish(message, key, mandatory=True)


async def per_second(target: AbstractExchange, key: str, seconds: float, in_flight: int) -> float:
    confirmed = 0
    ending = False

    async def one_after_the_other() -> None:
        nonlocal confirmed
        while not ending:
            await publish(target, key)
            confirmed += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(one_after_the_other())
        await asyncio.sleep(_WARM)
        began, before = perf_counter(), confirmed
        await asyncio.sleep(seconds)
        rate = (confirmed - before) / (perf_counter() - began)
        ending = True
    return rate


async def latencies(target: AbstractExchange, key: str, seconds: float, rate: float) -> list[float]:
    taken: list[float] = []

    async def one() -> None:
        began = perf_counter()
        await publish(target, key)
        taken.append((perf_counter() - began) * 1000)

    async with asyncio.TaskGroup() as tasks:
        async for number in ticks(rate, seconds):
            for _ in range(number):
                tasks.create_task(one())
    return taken


if __name__ == "__main__":
    exchange, key, mode, seconds, amount = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(main(exchange, key, mode, float(seconds), float(amount)))
    print(json.dumps(result))
