"""Every test gets a database of its own, copied from a migrated template, and its own queues."""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from yarl import URL

from tests.support.postgres.commit_proxy import CommitProxy
from tests.support.postgres.template import migrated_template
from tools.services import Services, provide
from tools.support.system import System

_TESTS: Final = Path(__file__).parent
_WITH_OWN_SERVERS: Final = {"faults/cluster", "faults/policies", "faults/tls"}
"""Packages whose tests share servers that take long to start.

They run one after the other in one process. One RabbitMQ alone starts in 5 s on two processors,
each of six at once in 44 s.
"""


def pytest_configure() -> None:
    # Tests run side by side on a busy machine, and the first text of a new checkout needs a table
    # of Unicode that takes more than a second to make.
    settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
    _restore_signals()


def _restore_signals() -> None:
    """Have programs under test started as from a terminal, where these signals end them.

    What is ignored here is ignored in each program that is started. A shell without job control
    has SIGINT and SIGQUIT ignored in what it starts in the background, and nohup has SIGHUP.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # A handler is not inherited, and the tests themselves go on, as nohup means it.
        signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what has to run in one process; a process that has nothing left takes the last."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    kinds = ["own servers", "faults", "e2e", "integration", "unit"]
    kind = item.path.relative_to(_TESTS).parts[0]
    return kinds.index("own servers" if _has_own_servers(item) else kind) if kind in kinds else 0


def _has_own_servers(item: pytest.Item) -> bool:
    return item.path.parent.relative_to(_TESTS).as_posix() in _WITH_OWN_SERVERS


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    with provide() as provided:
        yield provided


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def template(services: Services) -> AsyncIterator[str]:
    async with migrated_template(services) as name:
        yield name


@pytest.fixture
async def database_url(services: Services, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(services.database_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield str(URL(services.database_url).with_path(f"/{name}"))
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def commits(database_url: str) -> AsyncIterator[CommitProxy]:
    """A way to this test's database on which commits can be held up."""
    proxy = CommitProxy(database_url)
    await proxy.listen()
    yield proxy
    await proxy.close()


@pytest.fixture
async def system(database_url: str, services: Services, tmp_path: Path) -> AsyncIterator[System]:
    async with System(database_url, services.amqp_url, tmp_path).running() as running:
        yield running
