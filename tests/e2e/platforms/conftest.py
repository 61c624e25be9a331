"""One Buildbot for a module, set up as docs/platforms.md says, with a system of ours."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.http.api import Api
from tests.support.platforms.buildbot import Buildbot
from tests.support.platforms.builds import SCOPES
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.proxy import TcpProxy
from tools.support.system import System


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("buildbot")) as running:
        await running.worker(grace_seconds=3)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(system: System) -> str:
    return await system.gateway()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network(gateway: str) -> AsyncIterator[TcpProxy]:
    """Between Buildbot's master and the gateway."""
    async with TcpProxy(gateway) as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def buildbot(system: System, network: TcpProxy) -> AsyncIterator[Buildbot]:
    token = await system.token(subject="buildbot", scopes=SCOPES)
    buildbot = Buildbot(system.directory, system.http, str(Path(sys.executable).parent))
    url = network.proxied.removesuffix("/")
    async with buildbot.running(url, token, system.socket()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System, gateway: str) -> Api:
    return Api(gateway, system.http, await system.token(subject="alice"))
