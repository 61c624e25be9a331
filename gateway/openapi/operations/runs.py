"""Operations on runs."""

from datetime import timedelta
from typing import Final

from gateway import schemas
from gateway.auth.access import Scope
from gateway.auth.refusals import missing_scope
from gateway.http.errors import invalid
from gateway.http.query import BAD_WAIT, MAX_WAIT
from gateway.openapi.operations.common import (
    AT,
    COMMAND_ID,
    INTERNAL,
    NOT_FOUND,
    RATE_LIMITED,
    RUN_ID,
    UNAUTHORIZED,
    UNAVAILABLE,
    shown,
)
from gateway.openapi.operations.model import RATE_LIMIT_HEADERS, Json, Operation, Response
from gateway.schemas import API
from shared.states import CommandState, HostState, Outcome, RunStatus

_WAIT: Final[Json] = {
    "name": "wait",
    "in": "query",
    "description": "Seconds to wait for the run to end. The response comes as soon as it ends.",
    "schema": {"type": "number", "minimum": 0, "maximum": MAX_WAIT, "default": 0},
}
CANCELLATION: Final = schemas.Cancellation(
    command_id=COMMAND_ID,
    via="rest",
    requested_by="alice",
    reason="superseded by a newer commit",
    force=False,
    received_at=AT + timedelta(seconds=61),
    outcome=Outcome.CANCELED,
    state=None,
    waiting_for=None,
    finished_at=AT + timedelta(seconds=61.04),
    evidence=schemas.Evidence(ended="obeyed", proof="cgroup_empty", duration_ms=24.1),
)
_OVER: Final = schemas.RunView(
    run_id=4711,
    status=RunStatus.CANCELED,
    created_at=AT,
    started_at=AT + timedelta(seconds=2),
    canceling_at=AT + timedelta(seconds=61),
    finished_at=AT + timedelta(seconds=61.04),
    exit_code=143,
    error=None,
    cancellation=CANCELLATION,
)
_WAITING: Final = _OVER.model_copy(
    update={
        "status": RunStatus.RUNNING,
        "canceling_at": None,
        "finished_at": None,
        "exit_code": None,
        "cancellation": CANCELLATION.model_copy(
            update={
                "outcome": None,
                "state": CommandState.PENDING,
                "waiting_for": schemas.WaitingFor(
                    host="runner-7", host_state=HostState.SILENT, since=AT + timedelta(seconds=40)
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
            shown(wait=invalid({"wait": BAD_WAIT})),
        ),
        401: UNAUTHORIZED,
        403: Response(
            "The token lacks the scope.",
            shown(scope=missing_scope(Scope.RUNS_READ, ["runs:write"])),
            ("WWW-Authenticate", *RATE_LIMIT_HEADERS),
        ),
        404: NOT_FOUND,
        429: RATE_LIMITED,
        500: INTERNAL,
        503: UNAVAILABLE,
    },
    (RUN_ID, _WAIT),
)
