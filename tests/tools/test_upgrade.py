"""Upgrades with real programs, as `make upgrade` tries them."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tools.services import Services
from tools.upgrade.in_order import in_order
from tools.upgrade.mixed import mixed
from tools.upgrade.report import Check
from tools.upgrade.side_by_side import side_by_side
from tools.upgrade.system import UpgradedSystem, upgraded_system
from tools.upgrade.version import Version, VersionUnavailable, checked_out, previous

Scenario = Callable[[UpgradedSystem, Version], Awaitable[list[Check]]]

# The last one that was landed before hosts lost their queues, and the last one before that change.
LANDED = "0936fa6"
BEFORE_WAKES = "e2b407a"


# None: the last one before the newest migration.
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("scenario", "revision"), [(in_order, LANDED), (side_by_side, BEFORE_WAKES), (mixed, None)]
)
async def test_each_command_has_its_end(
    services: Services, tmp_path: Path, scenario: Scenario, revision: str | None
) -> None:
    try:
        old = checked_out(revision or previous(), tmp_path)
    except VersionUnavailable as error:
        pytest.skip(str(error))

    async with upgraded_system(services) as system:
        checks = await scenario(system, old)
        rows = await system.ledger.rows()

    assert [check for check in checks if check.problems] == [], rows
