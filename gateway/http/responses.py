"""The common headers and the log line of every response."""

from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

import structlog
from aiohttp import web

from gateway.http.cors import Cors
from gateway.http.errors import ApiError
from gateway.http.log_fields import log_fields
from gateway.http.request_id import HEADER, new_request_id, request_id
from gateway.http.request_keys import RATE_LIMIT, SUBJECT, client_of
from shared.http.json_responses import json_response_bytes

log = structlog.get_logger(__name__)

QUIET: Final = ("/healthz", "/readyz", "/metrics")
"""Paths that programs poll; logged at debug."""
_HEADERS: Final[Mapping[str, str]] = {
    "Server": "cancel-gateway",  # the default names the versions of aiohttp and Python
    "X-Content-Type-Options": "nosniff",
}
_NOT_KEPT: Final = ("Cache-Control", "no-store")


def complete(request: web.BaseRequest, response: web.StreamResponse, cors: Cors) -> None:
    """Add the headers that every response has."""
    headers = response.headers
    headers.update(_HEADERS)
    headers[HEADER] = request_id(request)
    headers.setdefault(*_NOT_KEPT)
    if spent := request.get(RATE_LIMIT):
        headers.update(spent.headers)
    headers.update(cors.headers_for(request))


def log_response(
    request: web.BaseRequest, response: web.StreamResponse, begun_at: float | None
) -> None:
    """Log a request. `begun_at` is the monotonic time at which its head had arrived."""
    # The raw, percent-encoded path, so that no line break or escape sequence gets into the log.
    # The parser rejects unencoded ones.
    path = request.rel_url.raw_path
    fields: dict[str, Any] = {
        **log_fields(request),
        "status": response.status,
        "request_id": request_id(request),
        "method": request.method,
        "path": path,
        "client": client_of(request),
    }
    if begun_at is not None:
        fields["ms"] = round((monotonic() - begun_at) * 1000, 1)
    if subject := request.get(SUBJECT):
        fields["subject"] = subject
    if path in QUIET:
        log.debug("request", **fields)
    else:
        log.info("request", **fields)


def raw_response(error: ApiError, cors: Cors) -> bytes:
    """A complete response as bytes, for a connection without a parsed request."""
    headers = {
        **_HEADERS,
        _NOT_KEPT[0]: _NOT_KEPT[1],
        HEADER: new_request_id(),
        **cors.headers_without_request(),
        **(error.headers or {}),
    }
    return json_response_bytes(error.body, error.status, headers)
