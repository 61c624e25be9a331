"""Each operation of the API: its path, its scope, and every answer with an example."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from gateway import schemas
from gateway.answers import MAX_WAIT, cancel_answer, run_not_found
from gateway.auth.access import MAY_CANCEL, Role, Scope
from gateway.auth.refusals import missing_role, missing_scope, rate_limited, unauthorized
from gateway.http.errors import ApiError, internal, invalid, unavailable
from gateway.http.query import UNKNOWN
from gateway.schemas import API
from shared.states import CommandState, HostState, Outcome, RunStatus

Json = dict[str, Any]

_RATE_LIMIT_HEADERS: Final = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@dataclass(frozen=True, slots=True)
class Response:
    """The meaning of one status, with examples made by the real code.

    `headers` are always present, those in `sometimes` may be.
    """

    description: str
    examples: Mapping[str, BaseModel]
    headers: tuple[str, ...] = _RATE_LIMIT_HEADERS
    sometimes: tuple[str, ...] = ()
    links: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    operation_id: str
    summary: str
    description: str
    scope: Scope
    responses: Mapping[int, Response]
    parameters: tuple[Json, ...] = ()
    request: type[BaseModel] | None = None


_RUN_ID: Final[Json] = {
    "name": "run_id",
    "in": "path",
    "required": True,
    "description": "A number above 9223372036854775807 is answered like an unknown run.",
    "schema": {"type": "integer", "format": "int64", "minimum": 1},
    "example": 4711,
}
_WAIT: Final[Json] = {
    "name": "wait",
    "in": "query",
    "description": "Seconds to wait for the run to end. The response comes as soon as it ends.",
    "schema": {"type": "number", "minimum": 0, "maximum": MAX_WAIT, "default": 0},
}
_AT: Final = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def _shown(**errors: ApiError) -> Mapping[str, BaseModel]:
    return {name: error.body for name, error in errors.items()}


_UNAUTHORIZED: Final = Response(
    "The bearer token is missing, invalid, expired or revoked.",
    _shown(missing=unauthorized(None), invalid=unauthorized("rct_…")),
    ("WWW-Authenticate", *_RATE_LIMIT_HEADERS),
)
_NOT_FOUND: Final = Response("The run does not exist.", _shown(unknown=run_not_found(9317)))
_RATE_LIMITED: Final = Response(
    "The rate limit of the token or, without a valid token, of the client's address is exceeded.",
    _shown(spent=rate_limited(20, 60, 30.0)),
    ("Retry-After", *_RATE_LIMIT_HEADERS),
)
_INTERNAL: Final = Response(
    "An unexpected error occurred.", _shown(any=internal()), (), _RATE_LIMIT_HEADERS
)
_UNAVAILABLE: Final = Response(
    "A service is unavailable, or the command may or may not be in the queue. A retry is safe.",
    _shown(any=unavailable()),
    ("Retry-After",),
    _RATE_LIMIT_HEADERS,
)
_CANCELLATION: Final = schemas.Cancellation(
    command_id=UUID("6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11"),
    via="rest",
    requested_by="alice",
    reason="superseded by a newer commit",
    received_at=_AT + timedelta(seconds=61),
    outcome=Outcome.CANCELED,
    state=None,
    waiting_for=None,
    finished_at=_AT + timedelta(seconds=61.04),
    evidence=schemas.Evidence(ended="obeyed", proof="cgroup_empty", duration_ms=24.1),
)
_OVER: Final = schemas.RunView(
    run_id=4711,
    status=RunStatus.CANCELED,
    created_at=_AT,
    started_at=_AT + timedelta(seconds=2),
    canceling_at=_AT + timedelta(seconds=61),
    finished_at=_AT + timedelta(seconds=61.04),
    exit_code=143,
    error=None,
    cancellation=_CANCELLATION,
)
_WAITING: Final = _OVER.model_copy(
    update={
        "status": RunStatus.RUNNING,
        "canceling_at": None,
        "finished_at": None,
        "exit_code": None,
        "cancellation": _CANCELLATION.model_copy(
            update={
                "outcome": None,
                "state": CommandState.PENDING,
                "waiting_for": schemas.WaitingFor(
                    host="runner-7", host_state=HostState.SILENT, since=_AT + timedelta(seconds=40)
                ),
                "finished_at": None,
                "evidence": schemas.Evidence(ended=None, proof=None, duration_ms=None),
            }
        ),
    }
)


GET_RUN: Final = Operation(
    "get",
    f"{API}/runs/{{run_id}}",
    "getRun",
    "Get a run and its cancellation",
    "The `Location` header of a 202 points here.",
    Scope.RUNS_READ,
    {
        200: Response("The run.", {"canceled": _OVER, "waiting": _WAITING}),
        400: Response(
            "The path or the query is invalid.",
            _shown(wait=invalid({"wait": "must be given once, as seconds from 0 to 30"})),
        ),
        401: _UNAUTHORIZED,
        403: Response(
            "The token lacks the scope.",
            _shown(scope=missing_scope(Scope.RUNS_READ, ["runs:write"])),
            ("WWW-Authenticate", *_RATE_LIMIT_HEADERS),
        ),
        404: _NOT_FOUND,
        429: _RATE_LIMITED,
        500: _INTERNAL,
        503: _UNAVAILABLE,
    },
    (_RUN_ID, _WAIT),
)

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
            ("Location", *_RATE_LIMIT_HEADERS),
            links={
                "run": {
                    "operationId": GET_RUN.operation_id,
                    "parameters": {"run_id": "$response.body#/run_id"},
                }
            },
        ),
        400: Response(
            "The path, the query or the body is invalid.",
            _shown(
                path=invalid({"run_id": "must be an integer, 1 or greater"}),
                query=invalid({"force": UNKNOWN}),
            ),
        ),
        401: _UNAUTHORIZED,
        403: Response(
            "The token lacks the scope, or its role may not cancel runs.",
            _shown(
                scope=missing_scope(Scope.RUNS_WRITE, ["runs:read"]),
                role=missing_role(MAY_CANCEL, Role.USER),
            ),
            sometimes=("WWW-Authenticate",),
        ),
        404: _NOT_FOUND,
        408: Response(
            "The body did not arrive in time.",
            _shown(body=invalid({"body": "did not arrive in time"})),
        ),
        413: Response("The body is too large.", _shown(body=invalid({"body": "is too large"}))),
        415: Response(
            "The body is not JSON in UTF-8.",
            _shown(type=invalid({"Content-Type": "must be application/json"})),
        ),
        429: _RATE_LIMITED,
        500: _INTERNAL,
        503: _UNAVAILABLE,
    },
    (_RUN_ID,),
    schemas.CancelRequest,
)

OPERATIONS: Final = (CANCEL_RUN, GET_RUN)
