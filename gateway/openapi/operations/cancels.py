"""Operations that cancel one run."""

from typing import Final

from gateway import schemas
from gateway.auth.access import MAY_CANCEL, Scope
from gateway.cancels.answers import RunState, cancel_answer, conflict
from gateway.http.errors import invalid
from gateway.http.query import UNKNOWN
from gateway.openapi.operations.common import (
    BODY_FAULTS,
    COMMAND_ID,
    IDEMPOTENCY_KEY,
    INTERNAL,
    INVALID_KEY,
    NOT_FOUND,
    RATE_LIMITED,
    RUN_ID,
    UNAUTHORIZED,
    UNAVAILABLE,
    cannot_cancel,
    shown,
)
from gateway.openapi.operations.model import RATE_LIMIT_HEADERS, Operation, Response
from gateway.openapi.operations.runs import GET_RUN
from gateway.schemas import API
from shared.states import RunStatus


def _cancel(
    path: str, operation_id: str, summary: str, description: str, scope: Scope
) -> Operation:
    return Operation(
        "post",
        f"{API}/runs/{{run_id}}/{path}",
        operation_id,
        summary,
        f"{description} With 202, the broker has stored the command, and the command ends with a "
        f"recorded outcome or as a dead letter. Roles: {', '.join(MAY_CANCEL)}.",
        scope,
        {
            202: Response(
                "The command is in the queue. With `no_op`, the run was already over.",
                {
                    "accepted": schemas.CancelAnswer(
                        **cancel_answer(4711, RunState(RunStatus.RUNNING))
                    ),
                    "no_op": schemas.CancelAnswer(
                        **cancel_answer(4711, RunState(RunStatus.CANCELED))
                    ),
                },
                ("Location", "X-Command-Id", *RATE_LIMIT_HEADERS),
                links={
                    "run": {
                        "operationId": GET_RUN.operation_id,
                        "parameters": {"run_id": "$response.body#/run_id"},
                    },
                },
            ),
            400: Response(
                "The path, the query, the key or the body is invalid.",
                shown(
                    path=invalid({"run_id": "must be an integer, 1 or greater"}),
                    query=invalid({"force": UNKNOWN}),
                    key=INVALID_KEY,
                ),
            ),
            401: UNAUTHORIZED,
            403: cannot_cancel(scope, Scope.RUNS_READ),
            404: NOT_FOUND,
            409: Response(
                "The key is that of a command on another run, or of another kind.",
                shown(
                    run=conflict(COMMAND_ID, of_this_run=False, force=False),
                    kind=conflict(COMMAND_ID, of_this_run=True, force=True),
                ),
            ),
            **BODY_FAULTS,
            429: RATE_LIMITED,
            500: INTERNAL,
            503: UNAVAILABLE,
        },
        (RUN_ID, IDEMPOTENCY_KEY),
        schemas.CancelRequest,
    )


CANCEL_RUN: Final = _cancel(
    "cancel", "cancelRun", "Cancel a queued or running run", "Idempotent.", Scope.RUNS_WRITE
)
FORCE_CANCEL_RUN: Final = _cancel(
    "force-cancel",
    "forceCancelRun",
    "Cancel a run without a grace period",
    "Also ends the grace period of a stop in progress.",
    Scope.RUNS_FORCE,
)
