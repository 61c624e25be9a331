"""Whoever takes what the programs of a test have traced."""

from collections.abc import AsyncIterator

import pytest

from tests.support.collector import Collector


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector().listening() as listening:
        yield listening
