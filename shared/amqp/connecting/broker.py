"""RabbitMQ connections that reconnect.

Plain connections, not aio-pika's robust ones: those wait a fixed 5 s before they reconnect, and a
publish or declare on them can wait for a reconnect forever.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from yarl import URL

from shared.aio.retry import until_connected
from shared.aio.tasks import end
from shared.amqp.channels import AWAY, lost_is_an_error
from shared.amqp.connecting.access import read_access
from shared.amqp.connecting.connection import Connection
from shared.amqp.connecting.nodes import Nodes
from shared.amqp.errors import reason
from shared.configuration.settings import ServiceSettings
from shared.errors import ServiceUnavailable
from shared.services.urls import without_password

log = structlog.get_logger(__name__)

# Seconds.
CONNECT_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
PAUSE = 0.2
"""Pause after a broker that accepts a connection and then fails, or declines a message."""

Session = Callable[[AbstractConnection], Awaitable[None]]


async def keep_connected(settings: ServiceSettings, name: str, session: Session) -> NoReturn:
    """Run `session` on one connection after another; it ends when its connection does.

    Raises ServiceUnavailable if there is no first connection within `startup_timeout` seconds.
    Later outages are retried forever.
    """
    once_connected = False
    nodes = _nodes(settings, name)
    closing: set[asyncio.Task[None]] = set()
    try:
        while True:
            connection = await _connect(settings, name, nodes, bounded=not once_connected)
            once_connected = True
            log.info("rabbitmq_connected", connection=name, node=str(nodes.used))
            try:
                with lost_is_an_error():
                    await session(connection)
            except AWAY as error:
                log.warning("rabbitmq_session_failed", connection=name, error=reason(error))
                await asyncio.sleep(PAUSE)
            finally:
                # In a task: a node that hangs does not answer, and another one may be there.
                closing.add(task := asyncio.create_task(_close(connection)))
                task.add_done_callback(closing.discard)
            log.warning("rabbitmq_disconnected", connection=name)
    finally:
        await asyncio.gather(*closing, return_exceptions=True)  # all of them, also when canceled


async def keep_trying(settings: ServiceSettings, name: str, session: Session) -> NoReturn:
    """`keep_connected` for what a program can do without: also retry the first connection."""
    while True:
        connecting = asyncio.create_task(keep_connected(settings, name, session))
        try:
            await asyncio.wait([connecting])
        finally:
            await end(connecting)
        with suppress(ServiceUnavailable):
            connecting.result()


def _nodes(settings: ServiceSettings, name: str) -> Nodes:
    async def connect(url: URL, timeout: float) -> AbstractConnection:
        try:
            # Not its own `timeout`: that makes a task, and if that is canceled just as the broker
            # refuses, the exception is never retrieved, and asyncio logs a traceback.
            with lost_is_an_error():
                async with asyncio.timeout(timeout):
                    access = await read_access(settings)
                    return await aio_pika.connect(
                        access.of(url).update_query(heartbeat=settings.heartbeat),
                        ssl_context=access.context,
                        connection_class=Connection,
                        client_properties={"connection_name": name},
                    )
        except StopAsyncIteration:
            # What aiormq 7.2 raises when the peer hangs up during the handshake.
            raise ConnectionResetError("the connection was closed during the handshake") from None

    return Nodes(settings.broker, connect)


async def _connect(
    settings: ServiceSettings, name: str, nodes: Nodes, *, bounded: bool
) -> AbstractConnection:
    url = nodes.any_url
    shown = without_password(settings.amqp_url.get_secret_value())

    def say(error: BaseException | None) -> None:
        why = reason(error, url)
        log.warning("rabbitmq_unreachable", connection=name, url=shown, error=why, retrying=True)

    try:
        return await until_connected(
            nodes.connect,
            attempt=CONNECT_TIMEOUT,
            within=settings.startup_timeout if bounded else None,
            is_outage=lambda error: isinstance(error, AWAY),
            say=say,
        )
    except AWAY as error:
        raise ServiceUnavailable(f"cannot use RabbitMQ at {shown}: {reason(error, url)}") from None


async def _close(connection: AbstractConnection) -> None:
    try:
        with suppress(*AWAY), lost_is_an_error():
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await connection.close()
    finally:
        # If that failed, it was already gone. At the second time, aio-pika takes it for closed
        # without a word to the broker; else it would close it when it is collected, perhaps in
        # another thread.
        await connection.close()
