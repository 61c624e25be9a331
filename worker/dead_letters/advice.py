"""Advice to an operator about a dead letter, by its reason and the state of its run."""

from collections.abc import Mapping
from typing import Any, Final

from shared.states import DeadReason, RunStatus
from worker.dead_letters.kinds import is_registration
from worker.dead_letters.planning import MAX_REPLAYS

Json = Mapping[str, Any]

_REPLAY: Final = "cancel-worker dead-letters replay"
_AS_IT_IS: Final = frozenset(
    {
        DeadReason.UNKNOWN_RUN,
        DeadReason.STOP_FAILED,
        DeadReason.INTERNAL_ERROR,
        DeadReason.DELIVERY_LIMIT,
    }
)
"""Reasons for which a replay can help, because the obstacle may be gone."""
_NEVER: Final = frozenset(
    {
        DeadReason.MALFORMED,
        DeadReason.UNKNOWN_TYPE,
        DeadReason.COMMAND_REUSED,
    }
)
"""Reasons for which an unchanged replay always fails again."""


def advice(letter: Json, run: Json) -> str:
    """What to do with the waiting `letter`, given what is known of its `run`."""
    letter_id, reason = letter["letter_id"], letter["reason"]
    discard = f"cancel-worker dead-letters discard {letter_id}"
    force = " --force" if letter["replays"] >= MAX_REPLAYS else ""
    corrected = f"{_REPLAY} {letter_id} --edit{force} --wait 60"
    if is_registration(letter["routing_key"]):
        if reason == DeadReason.RUN_CONFLICT:
            return (
                "the run is on record with other options, and keeps them; if the letter is about "
                f"another run, correct it: {corrected}; otherwise {discard}"
            )
        return f"the run is on record, so there is nothing left to register; {discard}"
    if _is_over(run):
        return f"the run is over; {discard}"
    if _is_given_up(run):
        return f"its host was abandoned, and no other worker can stop the run; {discard}"
    if _is_in_hand(run, letter["command_id"]):
        return "the run is being stopped by another command"
    replay = f"{_REPLAY} {letter_id}{force} --wait 60"
    if reason in _AS_IT_IS:
        return replay
    if reason in _NEVER:
        return (
            f"unchanged, it would become a dead letter again; correct it: {corrected}, "
            "or cancel the run again"
        )
    match reason:
        case DeadReason.UNKNOWN_VERSION:
            return f"upgrade the workers, then {replay}; or cancel the run again"
        case DeadReason.HOST_ABANDONED:
            host = run["host"]
            # None: Postgres was restored to a time before the claim.
            return replay if host is None else f"abandon host {host} again, then {replay}"
    return f"look at it first: cancel-worker dead-letters show {letter_id}"


def _is_over(run: Json) -> bool:
    """Whether a cancel would have nothing to stop, as in `shared.runs`."""
    if run["status"] == RunStatus.ERROR:
        return bool((run["loss"] or {}).get("proof"))
    if run["status"] in (RunStatus.PASS, RunStatus.FAIL) and run["left_behind"] is not None:
        return bool(run["left_behind"].get("proof"))
    return RunStatus(run["status"]).is_terminal


def _is_given_up(run: Json) -> bool:
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
