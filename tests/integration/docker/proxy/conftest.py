"""The Docker socket of a run, in front of the engine of this machine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.docker.proxied import Proxied, proxied


@pytest.fixture
async def job(tmp_path: Path) -> AsyncIterator[Proxied]:
    async with proxied(tmp_path) as it:
        yield it
