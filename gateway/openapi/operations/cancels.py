"""Operations that cancel runs."""

from typing import Final

from gateway import schemas
from gateway.auth.access import MAY_CANCEL, Role, Scope
from gateway.auth.refusals import missing_role, missing_scope
from gateway.cancels.answers import cancel_answer
from gateway.http.errors import invalid
from gateway.http.query import UNKNOWN
from gateway.openapi.operations.common import (
    INTERNAL,
    LARGE_BODY,
    LATE_BODY,
    NOT_FOUND,
    OTHER_BODY,
    RATE_LIMITED,
    RUN_ID,
    UNAUTHORIZED,
    UNAVAILABLE,
    shown,
)
from gateway.openapi.operations.model import RATE_LIMIT_HEADERS, Operation, Response
from gateway.openapi.operations.runs import GET_RUN
from gateway.schemas import API
from shared.states import RunStatus

CANCEL_RUN: Final = Operation(
    "post",
    f"{API}/runs/{{run_id}}/cancel",
    "cancelRun",
    "Cancel a queued or running run",
    "Idempotent. With 202, the broker has stored the command, and the command ends with a "
    f"recorded outcome or as a dead letter. Roles: {', '.join(MAY_CANCEL)}.",
    Scope.RUNS_WRITE,
    {
        202: Response(
            "The command is in the queue. With `no_op`, the run was already over.",
            {
                "accepted": schemas.CancelAnswer(**cancel_answer(4711, RunStatus.RUNNING)),
                "no_op": schemas.CancelAnswer(**cancel_answer(4711, RunStatus.CANCELED)),
            },
            ("Location", *RATE_LIMIT_HEADERS),
            links={
                "run": {
                    "operationId": GET_RUN.operation_id,
                    "parameters": {"run_id": "$response.body#/run_id"},
                }
            },
        ),
        400: Response(
            "The path, the query or the body is invalid.",
            shown(
                path=invalid({"run_id": "must be an integer, 1 or greater"}),
                query=invalid({"force": UNKNOWN}),
            ),
        ),
        401: UNAUTHORIZED,
        403: Response(
            "The token lacks the scope, or its role may not cancel runs.",
            shown(
                scope=missing_scope(Scope.RUNS_WRITE, ["runs:read"]),
                role=missing_role(MAY_CANCEL, Role.USER),
            ),
            sometimes=("WWW-Authenticate",),
        ),
        404: NOT_FOUND,
        408: LATE_BODY,
        413: LARGE_BODY,
        415: OTHER_BODY,
        429: RATE_LIMITED,
        500: INTERNAL,
        503: UNAVAILABLE,
    },
    (RUN_ID,),
    schemas.CancelRequest,
)
