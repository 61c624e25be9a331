"""The phase of a stop, in words that tell whether somebody has to act."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.states import HostState
from worker.console.now.stops import Phase, StopNow

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "host", "outcome", "phase"),
    [
        (5.0, HostState.UP, None, Phase.GRACE),
        (0.0, HostState.UP, None, Phase.KILLING),
        (-29.0, HostState.UP, None, Phase.KILLING),
        (-30.0, HostState.UP, None, Phase.OVERDUE),
        (5.0, HostState.SILENT, None, Phase.WAITING),
        (-90.0, HostState.SILENT, None, Phase.WAITING),
        (5.0, HostState.LEFT, None, Phase.WAITING),
        (-90.0, HostState.UP, "stop_failed", Phase.FAILED),
        (-90.0, HostState.SILENT, "stop_failed", Phase.FAILED),
    ],
)
def test_the_phase_is_that_of_the_deadline_the_host_and_the_outcome(
    left: float, host: HostState, outcome: str | None, phase: Phase
) -> None:
    row = {
        "run_id": 1,
        "canceling_at": NOW,
        "stop_deadline": NOW + timedelta(seconds=left),
        "host": "h1",
        "host_state": host.value,
        "host_since": NOW,
        "requested_by": None,
        "reason": None,
        "outcome": outcome,
    }

    stop = StopNow.of(row, NOW)

    assert stop.phase is phase
    assert stop.phase.is_bad == (phase not in (Phase.GRACE, Phase.KILLING))
