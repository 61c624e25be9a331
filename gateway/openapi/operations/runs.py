"""Operations on runs."""

from datetime import timedelta
from typing import Final

from gateway import schemas
from gateway.auth.access import Scope
from gateway.auth.refusals import missing_scope
from gateway.http.errors import invalid
from gateway.http.paging import BAD_CURSOR, DEFAULT_LIMIT, MAX_LIMIT
from gateway.http.query import BAD_LABEL, BAD_WAIT, MAX_WAIT
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
from shared.limits import MAX_LABELS
from shared.run_list import HOST, LABEL
from shared.states import CommandState, HostState, Outcome, RunStatus

_WAIT: Final[Json] = {
    "name": "wait",
    "in": "query",
    "description": "Seconds to wait for the run to end. The response comes as soon as it ends.",
    "schema": {"type": "number", "minimum": 0, "maximum": MAX_WAIT, "default": 0},
}
_FILTERS: Final[tuple[Json, ...]] = (
    {
        "name": "status",
        "in": "query",
        "description": "Only runs with this status.",
        "schema": {"type": "string", "enum": list(RunStatus)},
    },
    {
        "name": "host",
        "in": "query",
        "description": "Only runs that started on this host.",
        "schema": {"type": "string", "pattern": f"^{HOST}$"},
    },
    {
        "name": "label",
        "in": "query",
        "description": "Only runs with this label, `key:value`. Of several, runs have each.",
        "schema": {
            "type": "array",
            "items": {"type": "string", "pattern": f"^{LABEL}$"},
            "minItems": 1,
            "maxItems": MAX_LABELS,
        },
        "example": ["branch:main"],
    },
)
_PAGES: Final[tuple[Json, ...]] = (
    {
        "name": "limit",
        "in": "query",
        "description": "The most runs on a page.",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_LIMIT,
            "default": DEFAULT_LIMIT,
        },
    },
    {
        "name": "after",
        "in": "query",
        "description": "Where the page begins: only as it is in the link to the next page.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"},
    },
)
_NO_SCOPE: Final = Response(
    "The token lacks the scope.",
    shown(scope=missing_scope(Scope.RUNS_READ, ["runs:write"])),
    ("WWW-Authenticate", *RATE_LIMIT_HEADERS),
)
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
    evidence=schemas.Evidence(ended="obeyed", proof="cgroup_empty", duration_ms=24.1, containers=0),
)
_OVER: Final = schemas.RunView(
    run_id=4711,
    status=RunStatus.CANCELED,
    created_at=AT,
    started_at=AT + timedelta(seconds=2),
    canceling_at=AT + timedelta(seconds=61),
    finished_at=AT + timedelta(seconds=61.04),
    labels={"branch": "main"},
    url="https://ci.example/runs/4711",
    start_before=None,
    expired=False,
    exit_code=143,
    error=None,
    left_behind=None,
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
                "evidence": schemas.Evidence(
                    ended=None, proof=None, duration_ms=None, containers=0
                ),
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
        403: _NO_SCOPE,
        404: NOT_FOUND,
        429: RATE_LIMITED,
        500: INTERNAL,
        503: UNAVAILABLE,
    },
    (RUN_ID, _WAIT),
)

LIST_RUNS: Final = Operation(
    "get",
    f"{API}/runs",
    "listRuns",
    "List runs",
    "Newest first: the highest ids. A page may have fewer runs than `limit`, or none, and still "
    "have a next one; follow the links until there is none.",
    Scope.RUNS_READ,
    {
        200: Response(
            "A page of runs.",
            {"runs": schemas.RunList(runs=[_OVER])},
            sometimes=("Link",),
        ),
        400: Response(
            "The query is invalid.",
            shown(label=invalid({"label": BAD_LABEL}), after=invalid({"after": BAD_CURSOR})),
        ),
        401: UNAUTHORIZED,
        403: _NO_SCOPE,
        429: RATE_LIMITED,
        500: INTERNAL,
        503: UNAVAILABLE,
    },
    (*_FILTERS, *_PAGES),
)
