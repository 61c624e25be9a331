"""Operations on the cancellations of a run, and on many runs."""

from typing import Final
from uuid import UUID, uuid5

from gateway import schemas
from gateway.auth.access import MAY_CANCEL, Scope
from gateway.auth.refusals import missing_scope
from gateway.cancels.answers import BAD_LIMIT, MAX_LIMIT, NOT_A_UUID
from gateway.http.errors import cancellation_not_found, invalid
from gateway.http.query import BAD_WAIT, MAX_WAIT
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
from gateway.openapi.operations.runs import CANCELLATION
from gateway.schemas import API, BulkResult, BulkStatus

_KEY: Final = UUID("0c8a7c55-1f5e-4c0b-8a43-6f5d2e7b9a10")
_FORBIDDEN: Final = Response(
    "The token lacks the scope.",
    shown(scope=missing_scope(Scope.RUNS_READ, ["runs:write"])),
    ("WWW-Authenticate", *RATE_LIMIT_HEADERS),
)
_NO_RUN: Final = schemas.CancellationNotFound(
    message="Run 9317 not found.", details=schemas.NoSuchRun(id=9317)
)

LIST_CANCELLATIONS: Final = Operation(
    "get",
    f"{API}/runs/{{run_id}}/cancellations",
    "listCancellations",
    "List the cancel commands on a run",
    "All that a worker has received, oldest first, also repeats.",
    Scope.RUNS_READ,
    {
        200: Response(
            "The cancellations.",
            {"one": schemas.Cancellations(cancellations=[CANCELLATION])},
            sometimes=("Link",),
        ),
        400: Response(
            "The path or the query is invalid.", shown(limit=invalid({"limit": BAD_LIMIT}))
        ),
        401: UNAUTHORIZED,
        403: _FORBIDDEN,
        404: NOT_FOUND,
        429: RATE_LIMITED,
        500: INTERNAL,
        503: UNAVAILABLE,
    },
    (
        RUN_ID,
        {
            "name": "limit",
            "in": "query",
            "description": "The most cancellations in the response.",
            "schema": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_LIMIT,
                "default": MAX_LIMIT,
            },
        },
        {
            "name": "after",
            "in": "query",
            "description": "The `command_id` of the last cancellation of the page before. "
            "The `Link` header has it.",
            "schema": {"type": "string", "format": "uuid"},
        },
    ),
)

GET_CANCELLATION: Final = Operation(
    "get",
    f"{API}/runs/{{run_id}}/cancellations/{{command_id}}",
    "getCancellation",
    "Get a cancel command and its outcome",
    "By the `X-Command-Id` of a 202. 404 until a worker has received the command, and for a "
    "command that became a dead letter without having been on record.",
    Scope.RUNS_READ,
    {
        200: Response("The cancellation.", {"canceled": CANCELLATION}),
        400: Response(
            "The path or the query is invalid.",
            shown(command=invalid({"command_id": NOT_A_UUID}), wait=invalid({"wait": BAD_WAIT})),
        ),
        401: UNAUTHORIZED,
        403: _FORBIDDEN,
        404: Response(
            "The run does not exist, or no worker has received the command.",
            {**shown(command=cancellation_not_found(4711, COMMAND_ID)), "run": _NO_RUN},
        ),
        429: RATE_LIMITED,
        500: INTERNAL,
        503: UNAVAILABLE,
    },
    (
        RUN_ID,
        {
            "name": "command_id",
            "in": "path",
            "required": True,
            "description": "The id of the command.",
            "schema": {"type": "string", "format": "uuid"},
            "example": str(COMMAND_ID),
        },
        {
            "name": "wait",
            "in": "query",
            "description": "Seconds to wait for the outcome. The response comes as soon as "
            "the command has it.",
            "schema": {"type": "number", "minimum": 0, "maximum": MAX_WAIT, "default": 0},
        },
    ),
)

CANCEL_RUNS: Final = Operation(
    "post",
    f"{API}/cancellations",
    "cancelRuns",
    "Cancel many runs",
    "Either the runs in `run_ids`, or the queued and running runs that have all `labels`, an id "
    "below `before_run` and no open cancel command: the oldest "
    f"{schemas.MAX_BULK} of them. Each run gets a command of its own, with a result of its own. "
    f"Counts as one write. Roles: {', '.join(MAY_CANCEL)}.",
    Scope.RUNS_BULK,
    {
        202: Response(
            "The result for each run.",
            {
                "results": schemas.BulkCancelAnswer(
                    results=[
                        BulkResult(
                            run_id=run_id,
                            status=status,
                            command_id=uuid5(_KEY, str(run_id)) if is_known else None,
                        )
                        for run_id, status, is_known in (
                            (4711, BulkStatus.ACCEPTED, True),
                            (4712, BulkStatus.NO_OP, True),
                            (9317, BulkStatus.NOT_FOUND, False),
                        )
                    ],
                    matched=2,
                )
            },
        ),
        400: Response(
            "The query, the key or the body is invalid.",
            shown(
                body=invalid({"body": "must have either run_ids, or labels and before_run"}),
                key=INVALID_KEY,
            ),
        ),
        401: UNAUTHORIZED,
        403: cannot_cancel(Scope.RUNS_BULK, Scope.RUNS_WRITE),
        **BODY_FAULTS,
        429: RATE_LIMITED,
        500: INTERNAL,
        503: UNAVAILABLE,
    },
    (IDEMPOTENCY_KEY,),
    schemas.BulkCancelRequest,
    needs_body=True,
)
