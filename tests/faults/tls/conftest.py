"""One RabbitMQ and one Postgres with TLS for all tests; certificates and a password for each."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_urlsafe

import pytest

from tests.support.network.certificates import Authority, replace
from tests.support.network.tls_servers import TlsServers, tls_servers
from tests.support.network.tls_system import TlsSystem
from tools.services import Services


@pytest.fixture(scope="session")
def servers() -> Iterator[TlsServers]:
    with tls_servers() as started:
        asyncio.run(started.prepare())
        yield started


@pytest.fixture(scope="session")
def services(servers: TlsServers) -> Services:
    return servers.services


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def system(
    servers: TlsServers, authority: Authority, database_url: str, tmp_path: Path
) -> AsyncIterator[TlsSystem]:
    system = TlsSystem(servers, database_url, tmp_path)
    password = f"{token_urlsafe()} :@/?#%20[]"  # what a URL would have to encode
    replace(system.password_file, f"{password}\n".encode())
    system.renew_files(authority)
    await servers.set_password(password)
    await system.renew_servers(authority)
    async with system.running():
        yield system
