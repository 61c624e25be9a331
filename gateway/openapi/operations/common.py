"""Parameters and answers that several operations have in common."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from gateway.auth.access import MAY_CANCEL, Scope
from gateway.auth.refusals import missing_role, missing_scope, rate_limited, unauthorized
from gateway.cancels.answers import BAD_KEY, KEY_HEADER
from gateway.http.errors import ApiError, internal, invalid, run_not_found, unavailable
from gateway.openapi.operations.model import RATE_LIMIT_HEADERS, Json, Response
from shared.tokens import Role

RUN_ID: Final[Json] = {
    "name": "run_id",
    "in": "path",
    "required": True,
    "description": "A number above 9223372036854775807 is answered like an unknown run.",
    "schema": {"type": "integer", "format": "int64", "minimum": 1},
    "example": 4711,
}
AT: Final = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def shown(**errors: ApiError) -> Mapping[str, BaseModel]:
    return {name: error.body for name, error in errors.items()}


COMMAND_ID: Final = UUID("6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11")


def cannot_cancel(required: Scope, *has: Scope) -> Response:
    return Response(
        "The token lacks the scope, or its role may not cancel runs.",
        shown(scope=missing_scope(required, has), role=missing_role(MAY_CANCEL, Role.USER)),
        sometimes=("WWW-Authenticate",),
    )


UNAUTHORIZED: Final = Response(
    "The bearer token is missing, invalid, expired or revoked.",
    shown(missing=unauthorized(None), invalid=unauthorized("rct_…")),
    ("WWW-Authenticate", *RATE_LIMIT_HEADERS),
)
NOT_FOUND: Final = Response("The run does not exist.", shown(unknown=run_not_found(9317)))
RATE_LIMITED: Final = Response(
    "The rate limit of the token or, without a valid token, of the client's address is exceeded.",
    shown(spent=rate_limited(20, 60, 30.0)),
    ("Retry-After", *RATE_LIMIT_HEADERS),
)
INTERNAL: Final = Response(
    "An unexpected error occurred.", shown(any=internal()), (), RATE_LIMIT_HEADERS
)
IDEMPOTENCY_KEY: Final[Json] = {
    "name": KEY_HEADER,
    "in": "header",
    "description": "Becomes the id of the command, so that a repeated request has the same one.",
    "schema": {"type": "string", "format": "uuid"},
}
INVALID_KEY: Final = invalid({KEY_HEADER: BAD_KEY})
BODY_FAULTS: Final[Mapping[int, Response]] = {
    408: Response(
        "The body did not arrive in time.", shown(body=invalid({"body": "did not arrive in time"}))
    ),
    413: Response(
        "The body is too large.", shown(body=invalid({"body": "is too large"}, status=413))
    ),
    415: Response(
        "The body is not JSON in UTF-8.",
        shown(type=invalid({"Content-Type": "must be application/json"}, status=415)),
    ),
}
UNAVAILABLE: Final = Response(
    "A service is unavailable, or the result of the request is unknown. A retry is safe.",
    shown(any=unavailable()),
    ("Retry-After",),
    RATE_LIMIT_HEADERS,
)
