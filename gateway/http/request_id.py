"""The request id, which is in the response, in both logs and in the command."""

import re
import secrets
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.http.request_keys import REQUEST_ID

HEADER: Final = "X-Request-Id"
# It goes into log lines and, as the correlation id, into an AMQP short string (255 bytes).
_ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9._~:/+=@,;|-]{1,128}")


def new_request_id() -> str:
    return secrets.token_hex(16)


def request_id(request: web.BaseRequest) -> str:
    """The caller's id if it is valid, else a new one. Every call for a request returns the same."""
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
