"""HTTP servers with our connections, and a graceful stop."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage

from shared.http.connection import Connection
from shared.http.connection_slots import ConnectionLimiter
from shared.http.faults import fault_in, refuse_faulty
from shared.http.limits import TimeLimits

Listen = Callable[[Callable[[], asyncio.Protocol]], Awaitable[asyncio.Server]]


class MakeConnection(Protocol):
    def __call__(
        self, server: web.Server, limits: TimeLimits, limiter: ConnectionLimiter
    ) -> Connection: ...


class HttpServer:
    """Serves until closed."""

    def __init__(self, runner: web.AppRunner, listener: asyncio.Server) -> None:
        self._runner = runner
        self._listener = listener

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, of a TCP server."""
        host, port = self._listener.sockets[0].getsockname()[:2]
        return host, port

    async def close(self) -> None:
        """Accept no more connections, and let requests in flight end, for a bounded time."""
        self._listener.close()
        await self._runner.cleanup()


async def serve(
    app: web.Application,
    connection: MakeConnection,
    limits: TimeLimits,
    limiter: ConnectionLimiter,
    listen: Listen,
    shutdown_timeout: float,
) -> HttpServer:
    """Serve `app`; requests in flight have `shutdown_timeout` seconds to end after a close.

    `listen` opens the listener; its exceptions are raised.
    """
    runner = web.AppRunner(app, shutdown_timeout=shutdown_timeout)
    await runner.setup()
    server = runner.server
    assert server is not None  # noqa: S101 - there is one after setup
    refuse_faulty(server)
    _tell_of_requests(server)
    _refuse(server)
    try:
        listener = await listen(lambda: connection(server, limits, limiter))
    except OSError:
        await runner.cleanup()
        raise
    return HttpServer(runner, listener)


def why_not_listening(error: OSError) -> str:
    """Why an address cannot be listened on, without the address."""
    # asyncio puts the address into its message, and an unknown host name has no errno.
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or str(error)


def _tell_of_requests(server: web.Server) -> None:
    """Tell a connection at once when the handling of its request begins."""
    make = server.request_factory

    def make_request(
        message: RawRequestMessage, payload: StreamReader, connection: Any, *others: Any
    ) -> web.BaseRequest:
        connection.request_begins()
        return make(message, payload, connection, *others)

    server.request_factory = make_request


def _refuse(server: web.Server) -> None:
    """Respond to requests that are not served."""
    handle = server.request_handler

    async def handle_served(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101 - there are no others
        if (fault := fault_in(request)) is not None:
            return connection.refusal(fault)
        if connection.is_over_limit and (answer := connection.turn_away(request)) is not None:
            return answer
        return await handle(request)

    server.request_handler = handle_served
