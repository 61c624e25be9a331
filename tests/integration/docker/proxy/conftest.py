"""The Docker socket of a run, in front of the engine of this machine."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from tests.support.docker.proxied import Proxied, proxied


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """The loop of production: its socket calls are its own."""
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()
    return policy


@pytest.fixture
async def job(tmp_path: Path) -> AsyncIterator[Proxied]:
    async with proxied(tmp_path) as it:
        yield it
