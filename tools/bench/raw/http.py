"""Raw HTTP: aiohttp answers every request with the same bytes, of the length of a 202.

    python -m tools.bench.raw.http

Prints a line {"event": "listening", "port": …}, and serves until SIGTERM.
"""

import asyncio
import json
import signal

import uvloop
from aiohttp import web

_BODY = json.dumps(
    {
        "run_id": 1234,
        "new_run_id": None,
        "action": "cancel",
        "status": "accepted",
        "message": "Cancellation of run 1234 accepted.",
    }
).encode()


async def answer(_: web.Request) -> web.Response:
    return web.Response(body=_BODY, status=202, headers={"Content-Type": "application/json"})


async def main() -> None:
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
        loop.run(main())
