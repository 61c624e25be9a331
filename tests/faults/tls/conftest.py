"""One RabbitMQ and one Postgres with TLS for all tests; certificates and a password for each."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_urlsafe

import pytest
import pytest_asyncio

from tests.support.network.certificates import Authority, replace
from tests.support.network.tls_servers import TlsServers, tls_servers
from tests.support.network.tls_system import TlsSystem
from tests.support.postgres.template import migrated_template
from tools.services import Services


@pytest.fixture(scope="package")
def servers() -> Iterator[TlsServers]:
    with tls_servers() as started:
        asyncio.run(started.prepare())
        yield started


@pytest.fixture(scope="package")
def services(servers: TlsServers) -> Services:
    return servers.services


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def template(services: Services) -> AsyncIterator[str]:
    """Of these servers: that of other tests may have been made before, and stays theirs."""
    async with migrated_template(services) as name:
        yield name


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def system(
    servers: TlsServers, authority: Authority, database_url: str, tmp_path: Path
) -> AsyncIterator[TlsSystem]:
    system = TlsSystem(servers, database_url, tmp_path)
    # What a URL would have to encode; rabbitmqctl would take one that begins with - for an option.
    password = f"p{token_urlsafe()} :@/?#%20[]"
    replace(system.password_file, f"{password}\n".encode())
    system.renew_files(authority)
    await servers.set_password(password)
    await system.renew_servers(authority)
    async with system.running():
        yield system
