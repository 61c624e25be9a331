"""Accepting connections, and stopping without cutting off who was accepted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

import structlog
from aiohttp import web
from prometheus_client import Counter
from yarl import URL

from gateway.connection import Connection, TimeLimits, refuse_other_versions
from gateway.errors import unavailable
from gateway.responses import unasked
from shared.cli import UserError
from shared.settings import GatewaySettings

log = structlog.get_logger(__name__)

_REFUSAL_LINGERS: Final = 1.0  # seconds
_MOST_REFUSALS: Final = 100  # that linger at once


@asynccontextmanager
async def listening(
    settings: GatewaySettings, app: web.Application, refused: Counter
) -> AsyncIterator[URL]:
    """Serve `app` within the block; after it, finish what was begun, for a bounded time.

    `refused` counts the connections beyond the most that may be open. Raises UserError when the
    address cannot be had.
    """
    runner = web.AppRunner(app, shutdown_timeout=settings.gateway_shutdown_timeout)
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - there is one after setup
    refuse_other_versions(runner.server)
    accept = _Accept(runner.server, settings, refused)
    host, port = settings.gateway_host, settings.gateway_port
    try:
        server = await asyncio.get_running_loop().create_server(accept, host, port, backlog=1024)
    except OSError as error:
        await runner.cleanup()
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    try:
        bound_host, bound_port = server.sockets[0].getsockname()[:2]
        yield URL.build(scheme="http", host=bound_host, port=bound_port)
    finally:
        server.close()
        await runner.cleanup()


class _Accept:
    """Makes the protocol of each connection, and counts those that are open."""

    def __init__(self, server: web.Server, settings: GatewaySettings, refused: Counter) -> None:
        self._server = server
        self._refused = refused
        self._most = settings.max_connections
        self._open: dict[Connection, None] = {}  # in the order in which they came
        self._refusals: set[_Refusal] = set()
        self._limits = TimeLimits(
            head=settings.head_timeout,
            response=settings.response_timeout,
            idle=settings.idle_timeout,
        )

    def __call__(self) -> asyncio.Protocol:
        if len(self._open) >= self._most and not self._close_an_idle_one():
            log.warning("connection_refused", open=len(self._open))
            self._refused.inc()
            return _Refusal(self._refusals)
        connection = Connection(self._server, self._limits, self._closed)
        self._open[connection] = None
        return connection

    def _closed(self, connection: Connection) -> None:
        self._open.pop(connection, None)

    def _close_an_idle_one(self) -> bool:
        for connection in self._open:
            if connection.is_idle:
                connection.force_close()
                del self._open[connection]
                return True
        return False


class _Refusal(asyncio.Protocol):
    """Answers before anything was asked, and costs as little as that can."""

    def __init__(self, lingering: "set[_Refusal]") -> None:
        self._lingering = lingering

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        client = cast(asyncio.WriteTransport, transport)  # uvloop's is one, but does not say so
        if len(self._lingering) >= _MOST_REFUSALS:
            client.abort()
            return
        client.write(unasked(unavailable()))
        client.write_eof()
        # Closed at once, with a request still unread, it would be reset before it is read.
        self._lingering.add(self)
        asyncio.get_running_loop().call_later(_REFUSAL_LINGERS, client.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._lingering.discard(self)
