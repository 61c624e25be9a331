"""One system for all tests of a module, where starting it costs more than the tests do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tools.services import Services
from tools.services.databases import new_database
from tools.support.system import System


@asynccontextmanager
async def shared_system(
    services: Services, template: str, directory: Path
) -> AsyncIterator[System]:
    async with (
        new_database(services, template) as url,
        System(url, services.amqp_url, directory).running() as running,
    ):
        yield running
