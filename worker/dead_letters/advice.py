"""What an operator can do about a dead letter, by its reason and by what became of its run."""

from collections.abc import Mapping
from typing import Any, Final

from shared.states import DeadReason, RunStatus
from worker.dead_letters.replay import MAX_REPLAYS

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
"""What a replay can help: what was in the way may be gone, and for an unknown run it is."""
_NEVER: Final = frozenset(
    {
        DeadReason.MALFORMED,
        DeadReason.UNKNOWN_TYPE,
        DeadReason.COMMAND_REUSED,
    }
)
"""What dies again for the same reason, however often it goes out."""


def advice(letter: Json, run: Json) -> str:
    """What to do with `letter`, which waits and names `run`, as far as that is known."""
    letter_id, reason = letter["letter_id"], letter["reason"]
    discard = f"cancel-worker dead-letters discard {letter_id}"
    if _is_over(run):
        return f"the run is over; {discard}"
    if _is_given_up(run):
        return f"its host was abandoned, and no other worker can stop the run; {discard}"
    if _is_in_hand(run, letter["command_id"]):
        return "the run is being stopped by another command"
    force = " --force" if letter["replays"] >= MAX_REPLAYS else ""
    replay = f"{_REPLAY} {letter_id}{force} --wait 60"
    if reason in _AS_IT_IS:
        return replay
    if reason in _NEVER:
        corrected = f"{_REPLAY} {letter_id} --edit{force} --wait 60"
        return (
            f"unchanged, it would become a dead letter again; correct it: {corrected}, "
            "or cancel the run again"
        )
    match reason:
        case DeadReason.UNKNOWN_VERSION:
            return f"upgrade the workers, then {replay}; or cancel the run again"
        case DeadReason.HOST_ABANDONED:
            host = run["host"]
            # None: Postgres was set back to before the run was claimed.
            return replay if host is None else f"abandon host {host} again, then {replay}"
    return f"look at it first: cancel-worker dead-letters show {letter_id}"


def _is_over(run: Json) -> bool:
    """Whether a cancel would find nothing to stop, as in `shared.runs`."""
    if run["status"] == RunStatus.ERROR:
        return bool((run["loss"] or {}).get("proof"))
    return RunStatus(run["status"]).is_terminal


def _is_given_up(run: Json) -> bool:
    """Whether other workers answer `no_op`. Should its host come back, that stops it unasked.

    Only what outlived that is there for a cancel.
    """
    loss = run["loss"] or {}
    return loss.get("cause") == "host_abandoned" and "ended" not in loss


def _is_in_hand(run: Json, command_id: str | None) -> bool:
    """Whether another command is open. The letter's own may be, and nobody carries that out now."""
    return any(
        command["outcome"] is None and command["command_id"] != command_id
        for command in run["cancellations"]
    )
