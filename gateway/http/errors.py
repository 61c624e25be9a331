"""Every error response has the envelope `code`, `message`, `details`."""

from collections.abc import Mapping
from itertools import islice
from typing import Final
from uuid import UUID

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway import schemas
from gateway.http.log_fields import log_fields
from gateway.schemas import ErrorBody
from shared.errors import PublishRefused, RunCancelError, ServiceUnavailable
from shared.http.json_responses import json_response
from shared.registrations import Registered

log = structlog.get_logger(__name__)

_RETRY_AFTER: Final = 5
_MOST_TOLD: Final = 20
_MAX_NAME: Final = 100


class ApiError(RunCancelError):
    """An error response, in the caller's terms."""

    def __init__(
        self, status: int, body: ErrorBody, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(body.message)
        self.status = status
        self.body = body
        self.headers = headers

    def response(self) -> web.Response:
        return json_response(self.body, self.status, self.headers)


def invalid(fields: Mapping[str, str], status: int = 400) -> ApiError:
    """The request is invalid; `fields` has the problems by field.

    The caller controls the number of fields and their names, so only the first are told.
    """
    told = first_of(fields)
    shown = "; ".join(f"{name}: {problem}" for name, problem in told.items())
    return ApiError(
        status,
        schemas.ValidationProblem(
            message=f"Invalid request: {shown}.", details=schemas.FieldProblems(fields=told)
        ),
    )


def first_of(fields: Mapping[str, str]) -> dict[str, str]:
    """As many of `fields` as an answer tells, with names that are not too long."""
    told = {cut(name): problem for name, problem in islice(fields.items(), _MOST_TOLD)}
    if len(fields) > _MOST_TOLD:
        told["…"] = f"{len(fields) - _MOST_TOLD} more"
    return told


def cut(name: str) -> str:
    """A name that the caller chose, short enough for an answer."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


def unavailable() -> ApiError:
    """A service is unavailable or the outcome is unknown. A retry is safe."""
    return ApiError(
        503,
        schemas.Unavailable(
            message="The service is temporarily unavailable and the request may be repeated safely."
        ),
        {"Retry-After": str(_RETRY_AFTER)},
    )


def run_not_found(run_id: int) -> ApiError:
    return ApiError(
        404,
        schemas.NotFound(message=f"Run {run_id} not found.", details=schemas.NoSuchRun(id=run_id)),
    )


def run_conflict(run_id: int, result: Registered) -> ApiError:
    """The run cannot be registered, because of what is on record."""
    if result is Registered.STARTED:
        reason, message = "not_queued", f"Run {run_id} is on record and no longer queued."
    else:
        reason, message = "differs", f"Run {run_id} is on record with other options."
    return ApiError(
        409,
        schemas.RunConflict(
            message=message, details=schemas.ConflictingRun(id=run_id, reason=reason)
        ),
    )


def cancellation_not_found(run_id: int, command_id: UUID) -> ApiError:
    return ApiError(
        404,
        schemas.CancellationNotFound(
            message=f"Run {run_id} has no cancellation {command_id} on record.",
            details=schemas.NoSuchCancellation(id=command_id),
        ),
    )


def internal() -> ApiError:
    return ApiError(500, schemas.InternalError(message="An unexpected error occurred."))


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception into an envelope that reveals nothing internal."""
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()
    except web.HTTPException as error:
        return from_aiohttp(error).response()
    except (ServiceUnavailable, PublishRefused) as error:
        log.warning(
            "request_unavailable",
            path=request.rel_url.raw_path,
            error=str(error),
            **log_fields(request),
        )
        return unavailable().response()
    except Exception:
        log.exception(
            "request_failed",
            method=request.method,
            path=request.rel_url.raw_path,
            **log_fields(request),
        )
        return internal().response()


def from_aiohttp(error: web.HTTPException) -> ApiError:
    """An error that aiohttp raised itself, as an envelope."""
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = sorted(error.allowed_methods)
            shown = ", ".join(allowed)
            return ApiError(
                405,
                schemas.AnyError(
                    code="method_not_allowed",
                    message=f"{error.method} is not allowed here; use {shown}.",
                    details={"allowed": allowed},
                ),
                {"Allow": shown},
            )
        case web.HTTPNotFound():
            return ApiError(
                404,
                schemas.AnyError(
                    code="not_found", message="No such route.", details={"resource": "route"}
                ),
            )
        case web.HTTPRequestEntityTooLarge():
            return invalid({"body": "is too large"}, status=413)
        case web.HTTPExpectationFailed():
            return invalid({"Expect": "must be 100-continue"}, status=417)
        case _:
            return ApiError(
                error.status,
                schemas.AnyError(
                    code=f"http_{error.status}", message=error.reason or "The request failed."
                ),
            )
