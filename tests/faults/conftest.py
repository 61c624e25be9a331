"""A network of its own between a test's programs and each of their services."""

from collections.abc import AsyncIterator

import pytest

from tools.support.proxy import TcpProxy
from tools.support.system import System


@pytest.fixture
async def postgres(system: System) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(system.database_url) as proxy:
        yield proxy


@pytest.fixture
async def broker(system: System) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(system.amqp_url) as proxy:
        yield proxy
