"""The worker's own HTTP address, for monitoring. Launchers use its Unix socket."""

import asyncio
from collections.abc import Hashable
from typing import Final

from aiohttp import web
from yarl import URL

from shared.errors import UserError
from shared.http.connection_slots import ConnectionLimiter, ConnectionSlots
from shared.http.limits import TimeLimits
from shared.http.server import HttpServer, serve, why_not_listening
from worker.connection import WorkerConnection

_LIMITS: Final = TimeLimits(head=10.0, response=30.0, idle=75.0)  # seconds
_SHUTDOWN: Final = 1.0
_MAX_CONNECTIONS: Final = 100
"""Monitoring needs one or two connections; a further one replaces an idle one."""


async def listen(app: web.Application, host: str, port: int) -> tuple[HttpServer, URL]:
    """Serve `app`, at a free port if `port` is 0. Raises UserError if the address is taken."""
    loop = asyncio.get_running_loop()
    limiter = ConnectionLimiter("worker monitoring", [ConnectionSlots(_MAX_CONNECTIONS)], _no_peer)
    try:
        server = await serve(
            app,
            WorkerConnection,
            _LIMITS,
            limiter,
            lambda protocol: loop.create_server(protocol, host, port),
            _SHUTDOWN,
        )
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}:{port} (CANCEL_WORKER_HTTP_HOST, CANCEL_WORKER_HTTP_PORT): "
            f"{why_not_listening(error)}"
        ) from None
    bound_host, bound_port = server.address
    return server, URL.build(scheme="http", host=bound_host, port=bound_port)


def _no_peer(_: asyncio.BaseTransport) -> Hashable:
    return None
