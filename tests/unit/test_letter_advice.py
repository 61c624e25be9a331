"""A replay is recommended only where one can help."""

from typing import Any

import pytest

from shared.states import DeadReason, RunStatus
from worker.letter_advice import advice

OPEN = ("queued", "running", "canceling")
CAN_HELP = {
    DeadReason.UNKNOWN_RUN,
    DeadReason.STOP_FAILED,
    DeadReason.INTERNAL_ERROR,
    DeadReason.DELIVERY_LIMIT,
    DeadReason.UNKNOWN_VERSION,
    DeadReason.HOST_ABANDONED,
}


def told(reason: DeadReason, status: str, replays: int = 0, **run: Any) -> str:
    letter = {"letter_id": 12, "reason": reason, "replays": replays, "command_id": "c"}
    return advice(
        letter, {"status": status, "loss": None, "host": "h1", "cancellations": [], **run}
    )


@pytest.mark.parametrize("status", OPEN)
@pytest.mark.parametrize("reason", DeadReason)
def test_for_a_run_that_is_not_over_it_goes_by_the_reason(reason: DeadReason, status: str) -> None:
    said = told(reason, status)

    as_it_is = "dead-letters replay 12 --wait 60" in said
    assert as_it_is == (reason in CAN_HELP), said
    if reason in (DeadReason.MALFORMED, DeadReason.UNKNOWN_TYPE, DeadReason.COMMAND_REUSED):
        assert "replay 12 --edit --wait 60" in said


@pytest.mark.parametrize("status", ["pass", "fail", "canceled"])
@pytest.mark.parametrize("reason", DeadReason)
def test_for_a_run_that_is_over_none_helps(reason: DeadReason, status: str) -> None:
    assert RunStatus(status).is_terminal
    assert told(reason, status) == ("the run is over; cancel-worker dead-letters discard 12")


def test_a_lost_run_of_which_something_may_live_is_not_over() -> None:
    assert "replay" in told(DeadReason.STOP_FAILED, "error", loss={"proof": None})
    assert "replay" not in told(DeadReason.STOP_FAILED, "error", loss={"proof": "cgroup_empty"})


def test_a_run_that_another_command_is_stopping_needs_none() -> None:
    other = [{"outcome": None, "command_id": "other"}]
    own = [{"outcome": None, "command_id": "c"}]

    assert "by another command" in told(DeadReason.UNKNOWN_RUN, "canceling", cancellations=other)
    assert "replay 12" in told(DeadReason.UNKNOWN_RUN, "canceling", cancellations=own)


def test_what_was_replayed_too_often_needs_force() -> None:
    assert "replay 12 --force --wait 60" in told(DeadReason.UNKNOWN_RUN, "queued", replays=3)
