"""Raw HTTP: aiohttp answers every request with the same bytes, of the length of a 202.

    python -m tools.bench.raw.http [EXCHANGE KEY]

With EXCHANGE and KEY, it publishes a message first, as raw/publish.py does, and waits for the
confirm. AMQP_URL says where. Prints a line {"event": "listening", "port": …}, and serves until
SIGTERM.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import aio_pika
import uvloop
from aiohttp import web

from tools.bench.raw.publish import publish

_BODY = json.dumps(
    {
        "run_id": 1234,
        "new_run_id": None,
        "action": "cancel",
        "status": "accepted",
        "message": "Cancellation of run 1234 accepted.",
    }
).encode()


Answer = Callable[[web.Request], Awaitable[web.Response]]


async def answer(_: web.Request) -> web.Response:
    return web.Response(body=_BODY, status=202, headers={"Content-Type": "application/json"})


async def answer_confirmed(connection: aio_pika.abc.AbstractConnection, *where: str) -> Answer:
    exchange, key = where
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    target = await channel.get_exchange(exchange, ensure=False)

    async def published(request: web.Request) -> web.Response:
        await publish(target, key)
        return await answer(request)

    return published


async def main(*where: str) -> None:
    if not where:
        return await serve(answer)
    async with await aio_pika.connect(os.environ["AMQP_URL"]) as connection:
        return await serve(await answer_confirmed(connection, *where))


async def serve(answer: Answer) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app.router.add_post("/api/v1/runs/{run_id}/cancel", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(json.dumps({"event": "listening", "port": runner.addresses[0][1]}), flush=True)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(main(*sys.argv[1:]))
