"""Advice to an operator about a dead letter, by its reason and the state of its run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.states import DeadReason, RunStatus
from worker.dead_letters.kinds import OF_PUBLISHER, is_registration
from worker.dead_letters.replays.planning import MAX_REPLAYS

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Steps:
    """How an operator takes each step."""

    look: str
    replay: str
    correct: str
    discard: str
    abandon: str
    """The host of the letter's run."""


_AS_IT_IS: Final = frozenset(
    {
        DeadReason.UNKNOWN_RUN,
        DeadReason.STOP_FAILED,
        DeadReason.INTERNAL_ERROR,
        DeadReason.DELIVERY_LIMIT,
    }
)
"""Reasons for which a replay can help, because the obstacle may be gone."""
_BY_POLICY: Final = frozenset({DeadReason.EXPIRED, DeadReason.MAXLEN})
_NEVER: Final = frozenset(
    {
        DeadReason.MALFORMED,
        DeadReason.UNKNOWN_TYPE,
        DeadReason.COMMAND_REUSED,
    }
)
"""Reasons for which an unchanged replay always fails again."""
_REMOVE_POLICY: Final = "remove the policy from RabbitMQ (rabbitmqctl list_policies)"
_NO_EXPIRATION: Final = (
    "have its publisher set no expiration, and look for a policy with a shorter message-ttl "
    "(rabbitmqctl list_policies)"
)


def commands(letter: Json, run: Json) -> Steps:
    """The steps on the command line."""
    letter_id = letter["letter_id"]
    force = " --force" if letter["replays"] >= MAX_REPLAYS else ""
    return Steps(
        look=f"look at it first: cancel-worker dead-letters show {letter_id}",
        replay=f"cancel-worker dead-letters replay {letter_id}{force} --wait 60",
        correct="correct it: "
        f"cancel-worker dead-letters replay {letter_id} --edit{force} --wait 60",
        discard=f"cancel-worker dead-letters discard {letter_id}",
        abandon=f"abandon host {run['host']} again",
    )


def advice(letter: Json, run: Json) -> str:
    """What to do with the waiting `letter`, given what is known of its `run`."""
    return advised(letter, run, commands(letter, run))


def advised(letter: Json, run: Json, steps: Steps) -> str:
    """`advice` in terms of `steps`."""
    reason = letter["reason"]
    if is_registration(letter["routing_key"]):
        if reason == DeadReason.RUN_CONFLICT:
            return (
                "the run is on record with other options, and keeps them; if the letter is about "
                f"another run, {steps.correct}; otherwise {steps.discard}"
            )
        return f"the run is on record, so there is nothing left to register; {steps.discard}"
    if is_over(run):
        return f"the run is over; {steps.discard}"
    if is_given_up(run):
        return f"its host was abandoned, and no other worker can stop the run; {steps.discard}"
    if _is_in_hand(run, letter["command_id"]):
        return "the run is being stopped by another command"
    if reason in _AS_IT_IS:
        return steps.replay
    if reason in _BY_POLICY:
        return f"{_remove_cause(letter)}, then {steps.replay}"
    if reason in _NEVER:
        return (
            f"unchanged, it would become a dead letter again; {steps.correct}, "
            "or cancel the run again"
        )
    match reason:
        case DeadReason.UNKNOWN_VERSION:
            return f"upgrade the workers, then {steps.replay}; or cancel the run again"
        case DeadReason.HOST_ABANDONED:
            # None: Postgres was restored to a time before the claim.
            if run["host"] is None:
                return steps.replay
            return f"{steps.abandon}, then {steps.replay}"
    return steps.look


def advised_without_run(letter: Json, steps: Steps) -> str:
    """The same if no run of that number is on record, or the letter names none."""
    reason = letter["reason"]
    if letter["run_id"] is not None and reason == DeadReason.UNKNOWN_RUN:
        return (
            f"run {letter['run_id']} is not on record; once it is, {steps.replay}; if the number "
            f"is wrong, {steps.correct}; otherwise {steps.discard}"
        )
    if reason in _NEVER:
        return (
            "unchanged, it would become a dead letter again, so tell its publisher; "
            f"{steps.correct}, or {steps.discard}"
        )
    if reason == DeadReason.UNKNOWN_VERSION:
        return f"upgrade the workers, then {steps.replay}"
    if reason in _BY_POLICY:
        return f"{_remove_cause(letter)}, then {steps.replay}"
    if reason in _AS_IT_IS:
        return f"find out why in the workers' logs, then {steps.replay}"
    return steps.look


def _remove_cause(letter: Json) -> str:
    """What has to be done before a replay of what a queue did not keep."""
    return _NO_EXPIRATION if OF_PUBLISHER in letter["error"] else _REMOVE_POLICY


def is_over(run: Json) -> bool:
    """Whether a cancel would have nothing to stop, as in `shared.runs`."""
    if run["status"] == RunStatus.ERROR:
        return bool((run["loss"] or {}).get("proof"))
    if run["status"] in (RunStatus.PASS, RunStatus.FAIL) and run["left_behind"] is not None:
        return bool(run["left_behind"].get("proof"))
    return RunStatus(run["status"]).is_terminal


def is_given_up(run: Json) -> bool:
    """Whether other workers decide `no_op`. If the host comes back, it stops the run by itself.

    Only what survives that stop needs a cancel.
    """
    loss = run["loss"] or {}
    return loss.get("cause") == "host_abandoned" and "ended" not in loss


def _is_in_hand(run: Json, command_id: str | None) -> bool:
    """Whether another command is open. The letter's own does not count: no worker has it."""
    return any(
        command["outcome"] is None and command["command_id"] != command_id
        for command in run["cancellations"]
    )
