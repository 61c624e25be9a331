"""A short round of `make chaos`: faults at random by one seed, and every promise checked."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.own_servers import skipped_if_unavailable
from tools.chaos.options import Options
from tools.chaos.report import report
from tools.chaos.round import play

FAULTS: Final = (
    "worker_killed",
    "gateway_killed",
    "launcher_killed",
    "broker_killed",
    "postgres_stopped",
    "network_stalled",
)


@pytest.mark.timeout(300)
async def test_every_promise_holds_whatever_is_killed(tmp_path: Path) -> None:
    options = Options(
        directory=tmp_path / "chaos",
        seconds=20,
        seed=5,
        rate=6,
        kinds=FAULTS,
        unknown_runs=0,  # each takes 36 s to become a dead letter
        settle_seconds=150,
    )
    with skipped_if_unavailable():
        findings = await play(options)

    struck = {entry["name"] for entry in findings.facts.entries("fault_ended")}
    assert struck == set(FAULTS), "the seed's schedule leaves one out"
    assert findings.facts.cancellations
    assert findings.violations == 0, report(findings)
