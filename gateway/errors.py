"""The error envelope: every error of the API has `code`, `message` and `details`."""

from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from shared.errors import PublishRefused, ServiceUnavailable

log = structlog.get_logger(__name__)

_RETRY_AFTER: Final = 5
_MAX_MESSAGE: Final = 500


class ApiError(Exception):
    """An answer other than success, in the caller's terms."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        body = {
            "code": self.code,
            "message": self.message[:_MAX_MESSAGE],
            "details": self.details,
        }
        return web.json_response(body, status=self.status, headers=self.headers)


def invalid(fields: Mapping[str, str], status: int = 400) -> ApiError:
    """The request does not say what it must; `fields` names what is wrong."""
    shown = "; ".join(f"{name}: {problem}" for name, problem in fields.items())
    return ApiError(
        status, "validation_error", f"Invalid request: {shown}.", {"fields": dict(fields)}
    )


def unavailable() -> ApiError:
    """A service is away or the outcome is unknown. Asking again is safe."""
    return ApiError(
        503,
        "unavailable",
        "The service is temporarily unavailable and the request may be repeated safely.",
        headers={"Retry-After": str(_RETRY_AFTER)},
    )


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised into the envelope; nothing internal gets out."""
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()
    except web.HTTPException as error:
        return _from_aiohttp(request, error).response()
    except (ServiceUnavailable, PublishRefused) as error:
        log.warning("request_unavailable", path=request.path, error=str(error))
        return unavailable().response()
    except Exception:
        log.exception("request_failed", method=request.method, path=request.path)
        return ApiError(500, "internal_error", "An unexpected error occurred.").response()


def _from_aiohttp(request: web.Request, error: web.HTTPException) -> ApiError:
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return ApiError(
                405,
                "method_not_allowed",
                f"{request.method} is not allowed here; use {allowed}.",
                {"allowed": sorted(error.allowed_methods)},
                {"Allow": allowed},
            )
        case web.HTTPNotFound():
            return ApiError(404, "not_found", "No such route.", {"resource": "route"})
        case web.HTTPRequestEntityTooLarge():
            return invalid({"body": "is too large"}, status=413)
        case _:
            return ApiError(
                error.status, f"http_{error.status}", error.reason or "The request failed."
            )
