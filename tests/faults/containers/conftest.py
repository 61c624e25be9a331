"""An engine of its own for each test, which may be killed."""

from collections.abc import AsyncIterator

import pytest

from tests.support.docker.own_engine import OwnEngine, own_engine


@pytest.fixture
async def engine() -> AsyncIterator[OwnEngine]:
    async with own_engine() as running:
        yield running
