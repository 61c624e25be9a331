"""RabbitMQ and Postgres themselves stopped and started again under a gateway that goes on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import aio_pika
import aiohttp
import asyncpg
import pytest

from gateway.auth.access import Scope
from shared.amqp.topology import Topology
from shared.configuration.settings import DatabaseSettings
from shared.postgres import sql
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from shared.tokens import Role, token_hash
from tests.support.http.api import Api
from tests.support.own_servers import skipped_if_unavailable
from tools.services import PrivatePostgres, PrivateRabbit, Sandbox
from tools.support.program import Program
from tools.support.rows import registration

TOKEN = "rct_for-this-test-alone"
CONFIRM_TIMEOUT = 5.0
"""Seconds: the default, since it is what users have."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def servers(sandbox: Sandbox) -> tuple[PrivateRabbit, PrivatePostgres]:
    with skipped_if_unavailable():
        rabbit, postgres = PrivateRabbit(sandbox), PrivatePostgres(sandbox)
    rabbit.launch()
    postgres.start()
    rabbit.wait_ready()
    return rabbit, postgres


@asynccontextmanager
async def _gateway(rabbit: PrivateRabbit, postgres: PrivatePostgres) -> AsyncIterator[Api]:
    await _prepare(postgres.url)
    await _declare(rabbit.url)
    env = {"DATABASE_URL": postgres.url, "AMQP_URL": rabbit.url}
    program = await Program.start("gateway", "serve", "--port", "0", env=env)
    try:
        async with aiohttp.ClientSession() as http:
            yield Api((await program.event("gateway_ready"))["url"], http, TOKEN)
        assert program.process.returncode is None
    finally:
        await program.kill()


async def _prepare(url: str) -> None:
    async with connected(DatabaseSettings.model_validate({"DATABASE_URL": url})) as database:
        await migrate(database)
    connection = await asyncpg.connect(url)
    await connection.execute(sql.registrations.REGISTER, *registration(1))
    await connection.execute(
        sql.requests.ADD_TOKEN,
        token_hash(TOKEN),
        "a",
        Role.ADMIN,
        list(Scope),
        10**6,
        10**6,
        10**6,
        None,
    )
    await connection.close()


async def _declare(url: str) -> None:
    """As a worker would have."""
    async with await aio_pika.connect(url) as connection:
        await Topology().declare(await connection.channel())


async def _is_503_in_time(api: Api) -> None:
    start = monotonic()
    answer = await api.cancel(1)
    assert answer.error == (503, "unavailable")
    assert monotonic() - start < CONFIRM_TIMEOUT + 0.5


async def _until_202(api: Api) -> None:
    end = monotonic() + 20
    while (answer := await api.cancel(1)).status != 202:
        assert answer.error == (503, "unavailable")
        assert monotonic() < end


async def test_503_while_one_is_stopped_and_202_once_it_is_back(
    servers: tuple[PrivateRabbit, PrivatePostgres],
) -> None:
    rabbit, postgres = servers
    async with _gateway(rabbit, postgres) as api:
        assert (await api.cancel(1)).status == 202

        await asyncio.to_thread(postgres.stop)
        await _is_503_in_time(api)
        await asyncio.to_thread(postgres.start)
        await _until_202(api)

        await asyncio.to_thread(rabbit.stop)
        await _is_503_in_time(api)
        await _is_503_in_time(api)
        await asyncio.to_thread(rabbit.start)
        await _until_202(api)
