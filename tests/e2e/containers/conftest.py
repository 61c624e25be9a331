"""An engine of the test's own, with each cgroup driver."""

from collections.abc import AsyncIterator

import pytest

from tests.support.docker.drivers import DRIVERS
from tests.support.docker.own_engine import OwnEngine, own_engine


@pytest.fixture(params=DRIVERS)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[OwnEngine]:
    async with own_engine(request.param) as running:
        yield running
