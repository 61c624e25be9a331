"""Operations that register runs."""

from collections.abc import Mapping
from typing import Final

from gateway import schemas
from gateway.auth.access import Scope
from gateway.auth.refusals import missing_scope
from gateway.http.errors import invalid, run_conflict
from gateway.openapi.operations.common import (
    BODY_FAULTS,
    INTERNAL,
    RATE_LIMITED,
    RUN_ID,
    UNAUTHORIZED,
    UNAVAILABLE,
    shown,
)
from gateway.openapi.operations.model import RATE_LIMIT_HEADERS, Json, Operation, Response
from gateway.openapi.operations.runs import GET_RUN
from gateway.schemas import API
from shared.limits import BIGINT_MAX
from shared.registrations import Registered

_RUN_ID: Final[Json] = {
    **RUN_ID,
    # An id of its own: the other examples cancel theirs.
    "example": 4713,
    "description": "The id that the run gets.",
    "schema": {**RUN_ID["schema"], "maximum": BIGINT_MAX},
}
_LINKS: Final[Json] = {
    "run": {
        "operationId": GET_RUN.operation_id,
        "parameters": {"run_id": "$response.body#/run_id"},
    }
}
_REFUSED: Final[Mapping[int, Response]] = {
    401: UNAUTHORIZED,
    403: Response(
        "The token lacks the scope.",
        shown(scope=missing_scope(Scope.RUNS_REGISTER, ["runs:read"])),
        ("WWW-Authenticate", *RATE_LIMIT_HEADERS),
    ),
    **BODY_FAULTS,
    429: RATE_LIMITED,
    500: INTERNAL,
    503: UNAVAILABLE,
}

PUT_RUN: Final = Operation(
    "put",
    f"{API}/runs/{{run_id}}",
    "putRun",
    "Register a queued run",
    "Idempotent: 200 if the run is on record as queued with the same options. An option that is "
    "not in the body has its default.",
    Scope.RUNS_REGISTER,
    {
        200: Response(
            "The run is on record already.",
            {"exists": schemas.RunRegistered(run_id=4711, result=Registered.EXISTS)},
            links=_LINKS,
        ),
        201: Response(
            "The run is registered.",
            {"created": schemas.RunRegistered(run_id=4711, result=Registered.CREATED)},
            ("Location", *RATE_LIMIT_HEADERS),
            links=_LINKS,
        ),
        400: Response(
            "The path, the query or the body is invalid.",
            shown(body=invalid({"body.labels.a:b": "must not contain a colon"})),
        ),
        409: Response(
            "The run is on record with other options, or no longer queued. Nothing was changed.",
            shown(
                differs=run_conflict(4711, Registered.CONFLICT),
                not_queued=run_conflict(4711, Registered.STARTED),
            ),
        ),
        **_REFUSED,
    },
    (_RUN_ID,),
    schemas.RegisterRequest,
)

POST_RUNS: Final = Operation(
    "post",
    f"{API}/runs",
    "postRuns",
    "Register many queued runs",
    f"1 to {schemas.MAX_RUNS:,} runs, each by itself: what is wrong with one keeps no other from "
    "being registered. All are committed together. Idempotent.",
    Scope.RUNS_REGISTER,
    {
        200: Response(
            "The result for each run, in the order of the request.",
            {
                "results": schemas.RegisterResults(
                    results=[
                        schemas.RunResult(run_id=4711, result=Registered.CREATED),
                        schemas.RunResult(run_id=4712, result=Registered.EXISTS),
                        schemas.RunResult(run_id=4713, result=Registered.CONFLICT),
                        schemas.InvalidRun(run_id=None, fields={"run_id": "must be an integer"}),
                    ]
                )
            },
        ),
        400: Response(
            "The query or the body is invalid. Nothing was registered.",
            shown(runs=invalid({"body.runs": "is required"})),
        ),
        **_REFUSED,
    },
    (),
    schemas.RegisterRuns,
    needs_body=True,
)
