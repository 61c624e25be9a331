"""A cancellation on record, as the API shows it."""

from asyncpg import Record

from gateway import schemas
from shared.states import CommandState, command_state


def cancellation_view(row: Record) -> schemas.Cancellation:
    """`row` has the columns of a cancellation, and the status and host of its run."""
    is_open = row["outcome"] is None
    state = command_state(row["status"], row["host_state"]) if is_open else None
    return schemas.Cancellation(
        command_id=row["command_id"],
        via=row["via"],
        requested_by=row["requested_by"],
        reason=row["reason"],
        force=row["force"],
        received_at=row["received_at"],
        outcome=row["outcome"],
        state=state,
        waiting_for=schemas.WaitingFor(
            host=row["host"], host_state=row["host_state"], since=row["host_since"]
        )
        if state is CommandState.PENDING and row["host"] is not None
        else None,
        finished_at=row["answered_at"],
        evidence=schemas.Evidence(
            ended=row["ended"],
            proof=row["proof"],
            duration_ms=row["duration_ms"],
            containers=row["containers"],
        ),
    )
