"""A broker of each kind with the management plugin, and a system on a virtual host of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.broker.managed import MANAGED_BROKERS, ManagedBroker, VirtualHost
from tests.support.own_servers import skipped_if_unavailable
from tools.support.system import System


@pytest.fixture(scope="package", params=MANAGED_BROKERS)
def managed(request: pytest.FixtureRequest) -> Iterator[ManagedBroker]:
    with ExitStack() as stack:
        with skipped_if_unavailable():
            broker = stack.enter_context(MANAGED_BROKERS[request.param]())
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
