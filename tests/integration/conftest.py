"""Servers of a module's own, with the users and roles of an installation."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import pytest_asyncio

from tests.support.broker.broker_users import Broker, broker_with_users
from tests.support.own_servers import skipped_if_unavailable
from tests.support.postgres.roles import UrlOf, server_alone, with_roles
from tools.services import PrivatePostgres


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with ExitStack() as stack:
        with skipped_if_unavailable():
            broker = stack.enter_context(broker_with_users())
        yield broker


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    with server_alone() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url_of(postgres: PrivatePostgres) -> UrlOf:
    """The database is migrated, and has the roles."""
    return await with_roles(postgres)
