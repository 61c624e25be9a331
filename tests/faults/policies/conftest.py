"""A broker with the management plugin, and a system on a virtual host of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.broker.managed import ManagedBroker, VirtualHost, managed_broker
from tools.services import ServerFailed, ServicesUnavailable
from tools.support.system import System


@pytest.fixture(scope="session")
def managed() -> Iterator[ManagedBroker]:
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(managed_broker())
        except ServerFailed:
            raise
        except ServicesUnavailable as error:
            pytest.skip(f"policies need a broker of their own: {error}")
        yield broker


@pytest.fixture
async def virtual_host(managed: ManagedBroker) -> AsyncIterator[VirtualHost]:
    async with managed.virtual_host() as host:
        yield host


@pytest.fixture
async def system(
    database_url: str, virtual_host: VirtualHost, tmp_path: Path
) -> AsyncIterator[System]:
    """Its names have no prefix: it has the virtual host for itself."""
    async with System(database_url, virtual_host.url, tmp_path, prefix="").running() as running:
        yield running
