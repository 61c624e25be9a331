"""An OpenTelemetry collector for tests: takes OTLP over HTTP, and keeps what it gets."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tools.support.program import DEADLINE

Json = dict[str, Any]

SAVE_AS = "SAVE_TRACES"
"""A variable that names a file, into which what was collected last is written as OTLP JSON."""


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    at: int
    attributes: Json


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was received. Times are in ns since 1970."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str | None
    began: int
    ended: int
    attributes: Json
    events: tuple[Event, ...]
    failed: bool

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-01"


class Collector:
    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.resources: list[Json] = []
        self.requests: list[Json] = []
        self.paths: list[str] = []
        self._changed = asyncio.Condition()

    @property
    def environment(self) -> dict[str, str]:
        """What has a program send its spans here, and soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    async def span(self, name: str, where: Callable[[Span], bool] = lambda _: True) -> Span:
        """Wait for a span whose name begins with `name`."""

        def matching() -> list[Span]:
            return [span for span in self.spans if span.name.startswith(name) and where(span)]

        try:
            async with asyncio.timeout(DEADLINE), self._changed:
                await self._changed.wait_for(matching)
        except TimeoutError:
            shown = "\n".join(map(str, self.spans))
            raise AssertionError(f"no span {name!r} in:\n{shown}") from None
        return matching()[0]

    def children(self, span: Span) -> list[Span]:
        """The spans right below `span`, in the order in which they began."""
        found = [each for each in self.spans if each.parent == span.span_id]
        return sorted(found, key=lambda each: each.began)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Collector"]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()
            if path := os.environ.get(SAVE_AS):
                Path(path).write_text(json.dumps(self.requests, indent=2))

    async def _take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        exported = ExportTraceServiceRequest.FromString(await request.read())
        async with self._changed:
            self.paths.append(request.path)
            self._keep(_as_otlp_json(MessageToDict(exported)))
            self._changed.notify_all()
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )

    def _keep(self, exported: Json) -> None:
        self.requests.append(exported)
        for resource in exported["resourceSpans"]:
            described = _attributes(resource["resource"])
            self.resources.append(described)
            for scope in resource["scopeSpans"]:
                self.spans += [_span(described["service.name"], span) for span in scope["spans"]]


def _span(service: str, span: Json) -> Span:
    return Span(
        service=service,
        name=span["name"],
        kind=span["kind"].removeprefix("SPAN_KIND_").lower(),
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent=span.get("parentSpanId"),
        began=int(span["startTimeUnixNano"]),
        ended=int(span["endTimeUnixNano"]),
        attributes=_attributes(span),
        events=tuple(
            Event(event["name"], int(event["timeUnixNano"]), _attributes(event))
            for event in span.get("events", ())
        ),
        failed=span.get("status", {}).get("code") == "STATUS_CODE_ERROR",
    )


def _attributes(holder: Json) -> Json:
    found = {}
    for attribute in holder.get("attributes", ()):
        ((kind, value),) = attribute["value"].items()
        found[attribute["key"]] = int(value) if kind == "intValue" else value
    return found


def _as_otlp_json(value: Any, key: str = "") -> Any:
    """Ids in hexadecimal: there OTLP departs from JSON as protobuf has it."""
    match value:
        case dict():
            return {name: _as_otlp_json(each, name) for name, each in value.items()}
        case list():
            return [_as_otlp_json(each) for each in value]
        case str() if key in ("traceId", "spanId", "parentSpanId"):
            return base64.b64decode(value).hex()
    return value
