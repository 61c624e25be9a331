"""One system and one console for all tests of a module about dead letters."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.console.operator import Operator, signed_in, start_console
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System
from tools.support.waiting import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("console")) as running:
        await running.worker(keep_dead_letters=True)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(system: System) -> AsyncIterator[Operator]:
    _, url = await start_console(system)
    entered = await signed_in(system, url)
    await eventually(lambda: entered.get("/readyz"), lambda page: page.status == 200)
    yield entered
    await entered.close()


@pytest_asyncio.fixture(loop_scope="module")
async def nothing_waiting(system: System) -> None:
    await system.database.execute("UPDATE dead_letters SET state = 'discarded'")
