"""Both cgroup drivers, for tests that start an engine with each."""

from typing import Final

import pytest

from tests.support.docker.own_engine import Driver, why_no_own_engine

DRIVERS: Final = [
    pytest.param(
        driver,
        marks=pytest.mark.skipif(
            why_no_own_engine(driver) is not None, reason=str(why_no_own_engine(driver))
        ),
    )
    for driver in Driver
]
