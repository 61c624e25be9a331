"""What the handlers answer and the document shows."""

from typing import Final, NamedTuple
from uuid import UUID

from gateway import schemas
from gateway.http.errors import ApiError
from gateway.schemas import CancelStatus, PlainCancelAnswer
from shared.states import RunStatus

KEY_HEADER: Final = "Idempotency-Key"
BAD_KEY: Final = "must be given once, as a UUID"
MAX_LIMIT: Final = 1000
"""The most cancellations of a page."""
BAD_LIMIT: Final = f"must be given once, as an integer from 1 to {MAX_LIMIT}"
BAD_AFTER: Final = "must be given once, as the command_id of a cancellation of this run"
NOT_A_UUID: Final = "must be a UUID"


class RunState(NamedTuple):
    """What the answer to a cancel depends on."""

    status: RunStatus
    leftovers_possible: bool = False
    """Whether the run is over, and processes of it may be alive: a cancel stops them."""


def cancel_answer(run_id: int, state: RunState) -> PlainCancelAnswer:
    """The body of a 202 for a run in this state."""
    answer, message = _status_and_message(run_id, state)
    return {
        "run_id": run_id,
        "new_run_id": None,
        "action": "cancel",
        "status": answer,
        "message": message,
    }


def _status_and_message(run_id: int, state: RunState) -> tuple[CancelStatus, str]:
    status = state.status
    if state.leftovers_possible:
        return CancelStatus.ACCEPTED, (
            f"Run {run_id} has already finished ({status}); what it left running is being stopped."
        )
    if status is RunStatus.CANCELED:
        return CancelStatus.NO_OP, f"Run {run_id} is already canceled."
    if status.is_terminal:
        return CancelStatus.NO_OP, f"Run {run_id} has already finished ({status})."
    if status is RunStatus.CANCELING:
        return CancelStatus.ACCEPTED, f"Cancellation of run {run_id} is already in progress."
    return CancelStatus.ACCEPTED, f"Cancellation of run {run_id} accepted."


def conflict(key: UUID, *, of_this_run: bool, force: bool) -> ApiError:
    """The key is that of another command: of another run or, on this one, with `force` or not."""
    kind = "force-cancel" if force else "cancel"
    used = f"a {kind} of this run" if of_this_run else "another run"
    return ApiError(
        409,
        schemas.CommandConflict(
            message=f"The {KEY_HEADER} was already used for {used}. Use a new one.",
            details=schemas.ReusedCommand(id=key),
        ),
    )
