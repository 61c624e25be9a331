"""What the gateway asks Postgres while clients wait, and that it asks nothing once none does."""

import asyncio
from collections.abc import AsyncIterator
from operator import not_
from uuid import uuid4

import pytest

from gateway.waiting import TerminalWatch
from shared.aio.tasks import end
from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from tools.support.proxy import TcpProxy
from tools.support.waiting import eventually


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(database_url) as proxy:
        yield proxy


@pytest.fixture
async def watch(postgres: TcpProxy) -> AsyncIterator[TerminalWatch]:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": postgres.proxied})
    async with connected(settings) as database:
        watch = TerminalWatch(database)
        running = asyncio.create_task(watch.run())
        yield watch
        await end(running)


async def test_nothing_is_asked_once_nobody_waits(postgres: TcpProxy, watch: TerminalWatch) -> None:
    async def asked() -> int:
        before = postgres.bursts
        await asyncio.sleep(0.3)  # in which several looks would begin
        return postgres.bursts - before

    waiting = asyncio.gather(watch.until_terminal(1, 1), watch.until_settled(uuid4(), 1))
    assert await asked() > 0
    await waiting

    # One look may still be under way.
    await eventually(asked, not_)


async def test_after_the_release_nobody_waits(watch: TerminalWatch) -> None:
    waiting = asyncio.create_task(watch.until_terminal(1, 60))
    await asyncio.sleep(0)  # it begins to wait
    watch.release()

    async with asyncio.timeout(10):
        await waiting
        await watch.until_terminal(1, 60)
        await watch.until_settled(uuid4(), 60)
