"""Every error of a request becomes a page with one line that says what is wrong."""

from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from asyncpg import PostgresError, QueryCanceledError

from shared.errors import ServiceUnavailable, UserError
from worker.console.web.rendering import page

log = structlog.get_logger(__name__)


@web.middleware
async def show_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return error_page(request, error.status, _text_of(error))
    except UserError as error:
        return error_page(request, 400, str(error))
    except (ServiceUnavailable, QueryCanceledError) as error:
        log.warning("page_not_served", path=request.path, error=str(error))
        return error_page(request, 503, f"{error}. Nothing was changed; try again.")
    except PostgresError as error:
        # For example, our role lacks a privilege.
        log.error("page_not_served", path=request.path, error=str(error))
        return error_page(request, 500, f"Postgres refused: {error}.")


def error_page(request: web.Request, status: int, message: str) -> web.Response:
    title = HTTPStatus(status).phrase
    return page("error.html", request, {"title": title, "message": message}, status=status)


def _text_of(error: web.HTTPException) -> str:
    match error.status:
        case 404 if error.text == "404: Not Found":
            return "There is no such page."
        case 405:
            return "This page does not accept that method."
        case 413:
            return "The form is too large."
    return error.text or error.reason
