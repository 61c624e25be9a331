"""The system with a gateway, and a caller who may register runs, for all tests of a module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.auth.access import Scope
from shared.tokens import Role
from tests.support.http.api import Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    token = await system.token(Role.USER, (Scope.RUNS_REGISTER, Scope.RUNS_READ))
    return Api(await system.gateway(), system.http, token)
