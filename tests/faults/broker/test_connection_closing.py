"""A node that hangs answers no close: nothing waits for it, and nothing is left open in the end."""

import asyncio

import pytest
from aio_pika.abc import AbstractConnection

from shared.aio.tasks import end
from shared.amqp.connecting import broker
from shared.amqp.connecting.connection import Connection
from shared.configuration.settings import ServiceSettings
from tools.support.program import DEADLINE
from tools.support.system import System


@pytest.mark.parametrize("hanging", [1, 2])
async def test_connections_that_are_not_closed_yet_do_not_hold_up_the_next(
    system: System, monkeypatch: pytest.MonkeyPatch, hanging: int
) -> None:
    """Nor the end of the program, which asks more than once."""
    monkeypatch.setattr(broker, "CLOSE_TIMEOUT", 2 * DEADLINE)
    close = Connection.close
    settings = ServiceSettings.model_validate(
        {"DATABASE_URL": system.database_url, "AMQP_URL": system.amqp_url}
    )
    connections: list[AbstractConnection] = []
    asked: set[int] = set()
    next_is_used = asyncio.Event()

    async def hang_the_first_time(connection: Connection) -> None:
        if id(connection) not in asked:
            asked.add(id(connection))
            await asyncio.get_running_loop().create_future()
        await close(connection)

    async def session(connection: AbstractConnection) -> None:
        connections.append(connection)
        if len(connections) > hanging:
            next_is_used.set()
            await connection.closed()

    monkeypatch.setattr(Connection, "close", hang_the_first_time)
    connecting = asyncio.create_task(broker.keep_connected(settings, "a test", session))
    try:
        async with asyncio.timeout(DEADLINE):
            await next_is_used.wait()
    finally:
        async with asyncio.timeout(DEADLINE):
            await end(connecting)

    assert len(connections) == hanging + 1
    assert all(connection.is_closed for connection in connections)
