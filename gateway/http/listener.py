"""The gateway's listener, with its limits on connections."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from aiohttp import web
from prometheus_client import Counter
from yarl import URL

from gateway.http.client_address import ClientAddresses
from gateway.http.connection import GatewayConnection
from gateway.http.cors import Cors
from gateway.http.draining import Draining
from gateway.settings import GatewaySettings
from shared.errors import UserError
from shared.http.connection_slots import ConnectionLimiter, ConnectionSlots
from shared.http.limits import TimeLimits
from shared.http.server import Listen, serve, why_not_listening
from shared.lifecycle import most_files

# Extra slots, so that refused clients get a response and health checks still work.
_EXTRA_SLOTS: Final = 100


@asynccontextmanager
async def listening(
    settings: GatewaySettings,
    app: web.Application,
    draining: Draining,
    refused: Counter,
    is_shared: bool = False,
) -> AsyncIterator[URL]:
    """Serve `app` within the block. Afterwards, let requests in flight end, for a bounded time.

    `refused` counts the connections beyond the limit. If the port `is_shared`, other processes of
    the gateway listen on it, too. Raises UserError if it cannot listen on the address.
    """
    host, port = settings.gateway_host, settings.gateway_port
    limits = TimeLimits(
        head=settings.head_timeout, response=settings.response_timeout, idle=settings.idle_timeout
    )
    try:
        server = await serve(
            app,
            partial(GatewayConnection, cors=Cors(settings.cors_origins), draining=draining),
            limits,
            _limiter(settings, refused),
            _listen(host, port, is_shared),
            settings.gateway_shutdown_timeout,
        )
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {why_not_listening(error)}") from None
    try:
        bound_host, bound_port = server.address
        yield URL.build(scheme="http", host=bound_host, port=bound_port)
    finally:
        await server.close()


def _listen(host: str, port: int, is_shared: bool) -> Listen:
    loop = asyncio.get_running_loop()
    return lambda protocol: loop.create_server(
        protocol, host, port, backlog=1024, reuse_port=is_shared
    )


def _limiter(settings: GatewaySettings, refused: Counter) -> ConnectionLimiter:
    addresses = ClientAddresses(settings.trusted_proxies)

    def peer_of(transport: asyncio.BaseTransport) -> Hashable:
        name = transport.get_extra_info("peername")
        return addresses.connected_as(str(name[0]) if name else None)

    main = ConnectionSlots(most_connections(settings), settings.max_connections_per_address)
    return ConnectionLimiter("gateway", (main, ConnectionSlots(_EXTRA_SLOTS)), peer_of, refused.inc)


def most_connections(settings: GatewaySettings) -> int:
    """The maximum number of open connections."""
    return min(settings.max_connections, most_files() // 2)
