"""The body of a 202: the handler answers with it, and the document shows it."""

from gateway.schemas import CancelStatus, PlainCancelAnswer
from shared.states import RunStatus


def cancel_answer(run_id: int, status: RunStatus) -> PlainCancelAnswer:
    """The body of a 202 for a run with this status."""
    answer, message = _status_and_message(run_id, status)
    return {
        "run_id": run_id,
        "new_run_id": None,
        "action": "cancel",
        "status": answer,
        "message": message,
    }


def _status_and_message(run_id: int, status: RunStatus) -> tuple[CancelStatus, str]:
    if status is RunStatus.CANCELED:
        return CancelStatus.NO_OP, f"Run {run_id} is already canceled."
    if status.is_terminal:
        return CancelStatus.NO_OP, f"Run {run_id} has already finished ({status})."
    if status is RunStatus.CANCELING:
        return CancelStatus.ACCEPTED, f"Cancellation of run {run_id} is already in progress."
    return CancelStatus.ACCEPTED, f"Cancellation of run {run_id} accepted."
