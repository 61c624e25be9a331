"""Rounds in which a standby of Postgres takes over: nothing is undone, or the checker says so."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.own_servers import skipped_if_unavailable
from tools.chaos import fault_kinds  # noqa: F401 - registers them
from tools.chaos.options import Options
from tools.chaos.report import report
from tools.chaos.round import Findings, play
from tools.services import Replication

SEED: Final = 7
"""By this one, the first failover comes after the servers have lost each other."""


async def _played(directory: Path, replication: Replication) -> Findings:
    options = Options(
        directory=directory / "chaos",
        seconds=12,
        seed=SEED,
        rate=6,
        kinds=("primary_killed",),
        unknown_runs=0,  # each takes 36 s to become a dead letter
        settle_seconds=100 if replication is Replication.SYNCHRONOUS else 5,
        replication=replication,
        one_address=replication is Replication.SYNCHRONOUS,
    )
    with skipped_if_unavailable():
        findings = await play(options)
    struck = [entry["what"] for entry in findings.facts.entries("fault_ended")]
    assert any("promoted" in what and not what.startswith("0.0 s") for what in struck), struck
    return findings


@pytest.mark.timeout(300)
async def test_nothing_is_undone_if_replication_is_synchronous(tmp_path: Path) -> None:
    findings = await _played(tmp_path, Replication.SYNCHRONOUS)

    assert findings.facts.cancellations
    assert findings.violations == 0, report(findings)


@pytest.mark.timeout(300)
async def test_the_checker_finds_what_an_asynchronous_failover_has_undone(tmp_path: Path) -> None:
    findings = await _played(tmp_path, Replication.ASYNCHRONOUS)

    broken = {checked.promise for checked in findings.checked if checked.violations}
    assert {"runs", "P1 P2", "told"} <= broken, report(findings)
