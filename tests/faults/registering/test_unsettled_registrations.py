"""A bug of ours while registrations are settled: they are delivered again, on another channel."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from prometheus_client import CollectorRegistry

from shared.amqp import channels
from tests.support.broker.registrations import send_registration
from tools.support.program import DEADLINE
from tools.support.proxy import TcpProxy
from tools.support.system import System
from worker.messages.delivery import Delivery
from worker.metrics import WorkerMetrics
from worker.postgres_watch import PostgresWatch
from worker.registering import consumer
from worker.registering.consumer import RegistrationConsumer
from worker.registering.settler import RegistrationSettler


class FailsOnce:
    """In place of the settler."""

    def __init__(self, fail: Callable[[], object]) -> None:
        self._fail: Callable[[], object] | None = fail
        self.settled: asyncio.Queue[Delivery] = asyncio.Queue()

    async def settle(self, messages: Sequence[Delivery]) -> list[None]:
        if self._fail is not None:
            self._fail()
            self._fail = None
            raise RuntimeError("a bug")
        for message in messages:
            self.settled.put_nowait(message)
        return [None] * len(messages)


class AlwaysThere:
    """In place of what watches Postgres."""

    async def until_available(self) -> None:
        pass

    async def until_unavailable(self) -> None:
        await asyncio.get_running_loop().create_future()


def _session(
    system: System, settler: FailsOnce
) -> Callable[[AbstractConnection], Coroutine[Any, Any, None]]:
    return RegistrationConsumer(
        cast(RegistrationSettler, settler),
        system.topology,
        10,
        cast(PostgresWatch, AlwaysThere()),
        WorkerMetrics(CollectorRegistry()),
    ).session


async def test_they_are_delivered_again_after_a_while(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "_AFTER_FAILURE", 0.1)
    settler = FailsOnce(lambda: None)
    await send_registration(system, 7)
    async with await aio_pika.connect(system.amqp_url) as connection:
        first = asyncio.create_task(_session(system, settler)(connection))
        async with asyncio.timeout(DEADLINE):
            await first  # its channel is closed
            second = asyncio.create_task(_session(system, settler)(connection))
            assert (await settler.settled.get()).redelivered
    async with asyncio.timeout(DEADLINE):
        await second


async def test_a_channel_that_does_not_close_ends_the_session(
    system: System, broker: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the messages would stay with a consumer that settles nothing any more."""
    monkeypatch.setattr(consumer, "_AFTER_FAILURE", 0.1)

    def hang() -> None:
        broker.stall()
        monkeypatch.setattr(channels, "DECLARE_TIMEOUT", 0.5)

    settler = FailsOnce(hang)
    await send_registration(system, 7)
    connection = await aio_pika.connect(broker.proxied)
    session = asyncio.create_task(_session(system, settler)(connection))

    async with asyncio.timeout(DEADLINE):
        with pytest.raises(TimeoutError):
            await session

    await broker.cut()
