"""A request that ends at the moment at which a server that stops gives it up is no error."""

import asyncio
import time
from pathlib import Path
from typing import Final

from aiohttp import web
from structlog.testing import capture_logs

from shared.http.connection_slots import ConnectionLimiter, ConnectionSlots
from shared.http.limits import TimeLimits
from shared.http.server import HttpServer, serve
from worker.connection import WorkerConnection

LONGER_THAN_AIOHTTP_WAITS: Final = 0.7
"""Seconds. `shared.http.connection` lets it wait for 0.5 s."""
TURNS: Final = 30
"""Of the event loop, after which the server waits for the request."""


async def _served(app: web.Application, path: Path) -> HttpServer:
    slots = (ConnectionSlots(9), ConnectionSlots(9))
    return await serve(
        app,
        WorkerConnection,
        TimeLimits(head=10, response=10, idle=10),
        ConnectionLimiter("a test", slots, lambda _: "peer"),
        lambda protocol: asyncio.get_running_loop().create_unix_server(protocol, str(path)),
        0,
    )


async def test_a_request_that_ends_as_it_is_given_up_is_no_error(tmp_path: Path) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def handle(_: web.Request) -> web.Response:
        begun.set()
        await may_end.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handle)
    server = await _served(app, tmp_path / "socket")
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
    writer.write(b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n")
    await begun.wait()

    with capture_logs() as said:
        closing = asyncio.create_task(server.close())
        for _ in range(TURNS):
            await asyncio.sleep(0)
        # As on a machine that is too busy: the wait is over before the loop goes on.
        time.sleep(LONGER_THAN_AIOHTTP_WAITS)  # noqa: ASYNC251 - to block the loop is what it is for
        asyncio.get_running_loop().call_soon(may_end.set)
        await closing
        answer = await reader.read()

    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert said == []
