"""A system whose programs work as the documented broker users."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.broker.broker_users import Broker
from tests.support.http.api import Api
from tools.services import Services
from tools.services.databases import new_database
from tools.support.program import Program
from tools.support.system import System


@asynccontextmanager
async def system_on(
    broker: Broker, services: Services, template: str, directory: Path
) -> AsyncIterator[System]:
    """With the usual names, of which none is declared yet."""
    async with (
        new_database(services, template) as database_url,
        System(database_url, broker.url, directory, prefix="").running() as running,
    ):
        await running.delete_names()
        yield running


@dataclass(frozen=True, slots=True)
class Programs:
    api: Api
    worker: Program


async def start_programs(system: System, broker: Broker) -> Programs:
    """Gateway and worker, as their own users. The gateway comes first, and declares nothing."""
    gateway = await system.program(
        "gateway", "serve", "--port", "0", AMQP_URL=broker.url_of("gateway")
    )
    url = str((await gateway.event("gateway_ready"))["url"])
    worker = await system.worker(
        env={"AMQP_URL": broker.url_of("worker")}, gateway_user="gateway", keep_dead_letters=True
    )
    await worker.event("keeping_dead_letters")
    await gateway.event("names_declared")
    await gateway.event("events_subscribed")
    return Programs(Api(url, system.http, await system.token()), worker)
