"""What operators are told to do with a dead letter: a replay only where one can help."""

from typing import Any, Final

import pytest

from shared.states import DeadReason, RunStatus
from worker.dead_letters.advice import advice
from worker.dead_letters.kinds import OF_PUBLISHER
from worker.dead_letters.replays.planning import MAX_REPLAYS

Json = dict[str, Any]

COMMAND: Final = "0b8ff6ab-0000-4000-8000-000000000001"
ANOTHER: Final = "0b8ff6ab-0000-4000-8000-000000000002"

REPLAY: Final = "cancel-worker dead-letters replay 7 --wait 60"
CORRECT: Final = (
    "unchanged, it would become a dead letter again; correct it: "
    "cancel-worker dead-letters replay 7 --edit --wait 60, or cancel the run again"
)
LOOK: Final = "look at it first: cancel-worker dead-letters show 7"
DISCARD: Final = "the run is over; cancel-worker dead-letters discard 7"
GIVEN_UP: Final = (
    "its host was abandoned, and no other worker can stop the run; "
    "cancel-worker dead-letters discard 7"
)
UPGRADE: Final = f"upgrade the workers, then {REPLAY}; or cancel the run again"
POLICY: Final = f"remove the policy from RabbitMQ (rabbitmqctl list_policies), then {REPLAY}"
ABANDON: Final = f"abandon host runner-7 again, then {REPLAY}"

TO_BE_STOPPED: Final = {
    DeadReason.MALFORMED: CORRECT,
    DeadReason.UNKNOWN_TYPE: CORRECT,
    DeadReason.UNKNOWN_VERSION: UPGRADE,
    DeadReason.COMMAND_REUSED: CORRECT,
    DeadReason.UNKNOWN_RUN: REPLAY,
    DeadReason.STOP_FAILED: REPLAY,
    DeadReason.HOST_ABANDONED: ABANDON,
    DeadReason.INTERNAL_ERROR: REPLAY,
    DeadReason.DELIVERY_LIMIT: REPLAY,
    DeadReason.EXPIRED: POLICY,
    DeadReason.MAXLEN: POLICY,
    DeadReason.RUN_CONFLICT: LOOK,  # a cancel never has this reason
    DeadReason.FOREIGN: LOOK,
}
"""What is said while there is something that a cancel could stop."""


def _run(status: RunStatus, **fields: Any) -> Json:
    host = None if status is RunStatus.QUEUED else "runner-7"
    return {
        "status": status.value,
        "host": host,
        "loss": None,
        "left_behind": None,
        "cancellations": [],
        **fields,
    }


def _letter(reason: DeadReason, **fields: Any) -> Json:
    return {
        "letter_id": 7,
        "reason": reason.value,
        "error": "queue runs.cancel: something",
        "routing_key": "run.cancel",
        "command_id": COMMAND,
        "replays": 0,
        **fields,
    }


def _open(command_id: str, outcome: str | None = None) -> list[Json]:
    return [{"command_id": command_id, "outcome": outcome}]


STOPPABLE: Final = {
    "running": _run(RunStatus.RUNNING),
    "canceling": _run(RunStatus.CANCELING),
    "canceling, and its own stop failed": _run(
        RunStatus.CANCELING, cancellations=_open(COMMAND, "stop_failed")
    ),
    "canceling by the letter's own command": _run(
        RunStatus.CANCELING, cancellations=_open(COMMAND)
    ),
    "lost, and something may live": _run(RunStatus.ERROR, loss={"cause": "launcher_died"}),
    "lost before that was recorded": _run(RunStatus.ERROR),
    "given up, and alive when its host came back": _run(
        RunStatus.ERROR, loss={"cause": "host_abandoned", "ended": "survived"}
    ),
}
OVER: Final = {
    "pass": _run(RunStatus.PASS),
    "fail": _run(RunStatus.FAIL),
    "canceled": _run(RunStatus.CANCELED),
    "lost, and nothing is left": _run(RunStatus.ERROR, loss={"proof": "cgroup_empty"}),
    "lost, and nobody can find out": _run(RunStatus.ERROR, loss={"proof": "none_host_replaced"}),
}
IN_HAND: Final = {
    "canceling": _run(RunStatus.CANCELING, cancellations=_open(ANOTHER)),
    "lost, and cleared": _run(RunStatus.ERROR, loss={}, cancellations=_open(ANOTHER)),
}


@pytest.mark.parametrize("reason", DeadReason)
@pytest.mark.parametrize("state", STOPPABLE)
def test_where_a_cancel_can_stop_something_the_reason_decides(
    state: str, reason: DeadReason
) -> None:
    assert advice(_letter(reason), STOPPABLE[state]) == TO_BE_STOPPED[reason]


@pytest.mark.parametrize("reason", DeadReason)
def test_a_queued_run_is_on_no_host_that_could_be_abandoned(reason: DeadReason) -> None:
    said = TO_BE_STOPPED | {DeadReason.HOST_ABANDONED: REPLAY}

    assert advice(_letter(reason), _run(RunStatus.QUEUED)) == said[reason]


def test_what_had_an_expiration_of_its_own_is_not_put_on_a_policy_alone() -> None:
    error = f"queue runs.cancel: no worker took it within {OF_PUBLISHER}, 5 ms, or within less"
    letter = _letter(DeadReason.EXPIRED, error=error)

    said = advice(letter, STOPPABLE["running"])

    assert said.startswith("have its publisher set no expiration, and look for a policy")
    assert said.endswith(f", then {REPLAY}")


@pytest.mark.parametrize("reason", DeadReason)
@pytest.mark.parametrize("state", OVER)
def test_a_letter_of_a_run_that_is_over_may_be_discarded(state: str, reason: DeadReason) -> None:
    assert advice(_letter(reason), OVER[state]) == DISCARD


@pytest.mark.parametrize("reason", DeadReason)
def test_no_replay_reaches_what_is_on_a_host_that_was_given_up(reason: DeadReason) -> None:
    run = _run(RunStatus.ERROR, loss={"cause": "host_abandoned"})

    assert advice(_letter(reason), run) == GIVEN_UP


@pytest.mark.parametrize("reason", DeadReason)
@pytest.mark.parametrize("state", IN_HAND)
def test_what_another_command_stops_needs_no_replay(state: str, reason: DeadReason) -> None:
    assert advice(_letter(reason), IN_HAND[state]) == (
        "the run is being stopped by another command"
    )


@pytest.mark.parametrize("reason", DeadReason)
def test_a_replay_that_would_be_refused_is_said_with_its_force(reason: DeadReason) -> None:
    letter = _letter(reason, replays=MAX_REPLAYS)

    said = advice(letter, STOPPABLE["running"])

    assert said == TO_BE_STOPPED[reason].replace(" --wait", " --force --wait")
    assert "--force" not in advice({**letter, "replays": MAX_REPLAYS - 1}, STOPPABLE["running"])


def test_an_unread_command_does_not_pass_for_one_that_is_open() -> None:
    letter = _letter(DeadReason.MALFORMED, command_id=None)

    assert advice(letter, IN_HAND["canceling"]).startswith("the run is being stopped")
    assert advice(letter, STOPPABLE["running"]) == CORRECT


@pytest.mark.parametrize("state", OVER | STOPPABLE | IN_HAND)
def test_a_registration_cannot_change_the_options_of_a_run(state: str) -> None:
    letter = _letter(DeadReason.RUN_CONFLICT, routing_key="run.queued", command_id=None)
    run = (OVER | STOPPABLE | IN_HAND)[state]

    said = advice(letter, run)

    assert said == (
        "the run is on record with other options, and keeps them; if the letter is about another "
        "run, correct it: cancel-worker dead-letters replay 7 --edit --wait 60; otherwise "
        "cancel-worker dead-letters discard 7"
    )
    assert "--edit --force --wait" in advice({**letter, "replays": MAX_REPLAYS}, run)


@pytest.mark.parametrize("reason", [it for it in DeadReason if it is not DeadReason.RUN_CONFLICT])
def test_a_registration_of_a_run_on_record_is_never_replayed(reason: DeadReason) -> None:
    letter = _letter(reason, routing_key="run.queued", command_id=None)

    assert advice(letter, _run(RunStatus.QUEUED)) == (
        "the run is on record, so there is nothing left to register; "
        "cancel-worker dead-letters discard 7"
    )
