"""A span for each request, by OpenTelemetry's conventions for HTTP servers."""

from collections.abc import Mapping
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.http.request_keys import COMMAND, client_of
from gateway.http.responses import QUIET
from shared.logs import without_tokens
from shared.telemetry.tracing import COMMAND_ID, RUN_ID, Attributes, Span, SpanKind, Tracer

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def trace_requests(tracer: Tracer) -> Middleware:
    """Continue the caller's trace, or start one. Every log line of the request has its id."""

    @web.middleware
    async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in QUIET:
            return await handler(request)
        method = request.method if request.method in _METHODS else "_OTHER"
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else None
        name = " ".join(filter(None, ("HTTP" if method == "_OTHER" else method, route)))
        with tracer.span(
            name, SpanKind.SERVER, _attributes(request, method, route), _context(request)
        ) as span:
            structlog.contextvars.bind_contextvars(trace_id=span.trace_id)
            response = await handler(request)
            _finish(span, request, response.status)
            return response

    return trace


def _attributes(request: web.Request, method: str, route: str | None) -> Attributes:
    found = {
        "http.request.method": method,
        "http.request.method_original": request.method if method == "_OTHER" else None,
        "http.route": route,
        "url.scheme": request.scheme,
        "url.path": without_tokens(request.rel_url.raw_path),
        "network.protocol.version": f"{request.version.major}.{request.version.minor}",
    }
    return {name: value for name, value in found.items() if value is not None}


def _context(request: web.Request) -> Mapping[str, str]:
    # More than one traceparent is invalid; several tracestate headers are one list (W3C Trace
    # Context).
    parents = request.headers.getall("traceparent", [])
    states = request.headers.getall("tracestate", [])
    return {"traceparent": parents[0], "tracestate": ",".join(states)} if len(parents) == 1 else {}


def _finish(span: Span, request: web.Request, status: int) -> None:
    span.set({"http.response.status_code": status})
    if client := client_of(request):
        span.set({"client.address": client})
    if command := request.get(COMMAND):
        span.set({RUN_ID: str(command.run_id), COMMAND_ID: str(command.command_id)})
    if status >= 500:
        span.fail(str(status))
