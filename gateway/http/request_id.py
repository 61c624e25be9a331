"""The id by which a request is found again: in its answer, in both logs, in the command."""

import re
import secrets
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.http.request_keys import REQUEST_ID

HEADER: Final = "X-Request-Id"
# It becomes part of log lines and, as correlation id, a short string of AMQP (255 bytes).
_ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9._~:/+=@,;|-]{1,128}")


def new_request_id() -> str:
    return secrets.token_hex(16)


def request_id(request: web.BaseRequest) -> str:
    """The caller's own id, where it is acceptable, or a new one; always the same for a request."""
    try:
        return request[REQUEST_ID]
    except KeyError:
        sent = request.headers.get(HEADER, "")
        request[REQUEST_ID] = known = sent if _ACCEPTABLE.fullmatch(sent) else new_request_id()
        return known


@web.middleware
async def bind_request_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the id into every log line of this request; aiohttp gives each its own context.

    Must be the outermost middleware.
    """
    structlog.contextvars.bind_contextvars(request_id=request_id(request))
    return await handler(request)
