"""A program that stops just as RabbitMQ refuses it says nothing of a task that failed."""

import asyncio
import gc
from typing import Any
from uuid import uuid4

import pytest
from aio_pika.abc import AbstractConnection
from yarl import URL

from shared.amqp.connecting.broker import keep_connected
from shared.configuration.settings import ServiceSettings
from tools.support.proxy import TcpProxy
from tools.support.system import System


@pytest.mark.parametrize("steps", range(12))
async def test_a_refusal_that_comes_with_the_stop_is_not_left_to_asyncio(
    system: System, broker: TcpProxy, steps: int
) -> None:
    """`steps` of the event loop lie between the two."""
    wrong = URL(broker.proxied).with_password(uuid4().hex)
    settings = ServiceSettings.model_validate(
        {"DATABASE_URL": system.database_url, "AMQP_URL": str(wrong)}
    )
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    refused = asyncio.Event()
    broker.on_answer = lambda data: refused.set() if b"ACCESS_REFUSED" in data else None

    async def never(_: AbstractConnection) -> None:
        raise AssertionError

    connecting = asyncio.create_task(keep_connected(settings, "a test", never))
    async with asyncio.timeout(20):
        await refused.wait()
        for _ in range(steps):
            await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.wait([connecting])

    assert connecting.cancelled()
    del connecting
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
