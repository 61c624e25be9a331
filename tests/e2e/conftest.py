"""The collector of what the programs of a test have traced; a worker without root."""

import os
from collections.abc import AsyncIterator

import pytest

from tests.support.rights.privileges import NOBODY
from tests.support.rights.rootless import Rootless
from tests.support.telemetry.collector import Collector
from tools.demo.account import least_privileged
from tools.support.system import System


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector().listening() as listening:
        yield listening


@pytest.fixture
def rootless(system: System) -> Rootless:
    directory = system.directory / "nobody"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    return Rootless(system, directory, least_privileged(system.directory).python)
