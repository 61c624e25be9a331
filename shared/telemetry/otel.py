"""Tracing that is on: spans by OpenTelemetry's SDK, sent to a collector by OTLP over HTTP.

Nothing of the SDK is global here. Contexts are read and written by hand, since instrumentations of
aio-pika still name attributes as they were named before 2024.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextvars import Token
from datetime import datetime
from importlib.metadata import version
from threading import Thread
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

import structlog
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.errors import InvalidSettings
from shared.services.urls import without_password
from shared.telemetry.tracing import Attributes, Kind, Span, Tracer

log = structlog.get_logger(__name__)

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_LAST_EXPORT: Final = 5.0
"""Seconds that the export of what is buffered may take at the end."""


class OtelSpan(Span):
    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    @property
    def trace_id(self) -> str | None:
        found = self._span.get_span_context()
        return trace.format_trace_id(found.trace_id) if found.is_valid else None

    @property
    def context(self) -> Context:
        """What spans below it begin in."""
        return trace.set_span_in_context(self._span, Context())

    def __enter__(self) -> Self:
        self._token = context.attach(self.context)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            context.detach(self._token)
        if error is not None:
            self.fail(type(error).__name__)
        self.end()

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def event(self, name: str, at: datetime, attributes: Attributes) -> None:
        self._span.add_event(name, attributes, timestamp=int(at.timestamp() * 1e9))

    def fail(self, error_type: str, description: str | None = None) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR, description))

    def end(self) -> None:
        self._span.end()


class _Many(Span):
    """Spans of the same time."""

    __slots__ = ("_spans",)

    def __init__(self, spans: Sequence[OtelSpan]) -> None:
        self._spans = spans

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for span in self._spans:
            span.__exit__(kind, error, traceback)


class OtelTracer(Tracer):
    __slots__ = ("_provider", "_tracer")

    on = True

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("run-cancel", version("run-cancel"))

    @classmethod
    def sending_to(cls, endpoint: str, service: str, resource: Mapping[str, str]) -> "OtelTracer":
        """A tracer whose spans go to the collector at `endpoint`. Raises InvalidSettings."""
        try:
            exporter = _SaidOnce(OTLPSpanExporter(endpoint), endpoint)
            # Its own handler at exit would wait for 30 s.
            provider = TracerProvider(resource=_resource(service, resource), shutdown_on_exit=False)
            provider.add_span_processor(BatchSpanProcessor(exporter))
        except ValueError as error:
            raise InvalidSettings(f"the OTEL_ settings cannot be used: {error}") from None
        return cls(provider)

    def span(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        attributes: Attributes | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> OtelSpan:
        within = None
        if headers is not None:
            within = _PROPAGATOR.extract(headers, Context(), _TEXTS)
        return OtelSpan(self._tracer.start_span(name, within, SpanKind[kind.name], attributes))

    def each(self, name: str, parents: Sequence[Span]) -> Span:
        return _Many(
            [
                OtelSpan(self._tracer.start_span(name, parent.context))
                for parent in parents
                if isinstance(parent, OtelSpan)
            ]
        )

    def current(self) -> Span:
        return OtelSpan(trace.get_current_span())

    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        _PROPAGATOR.inject(found)
        return found

    async def close(self) -> None:
        # The SDK waits for 30 s, whatever it is told. Its thread ends with the process.
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _LAST_EXPORT)
        if closing.is_alive():
            log.warning("traces_dropped", reason="the collector took too long")


class _Texts(Getter[Mapping[str, object]]):
    """Reads headers of messages, which may hold anything."""

    def get(self, carrier: Mapping[str, object], key: str) -> list[str] | None:
        value = carrier.get(key)
        return [value] if isinstance(value, str) else None

    def keys(self, carrier: Mapping[str, object]) -> list[str]:
        return list(carrier)


_TEXTS: Final = _Texts()


class _SaidOnce(SpanExporter):
    """Says that a collector is away once, and not with each export as the SDK does."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = without_password(endpoint)
        self._is_away = False
        for name in ("opentelemetry", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:  # whatever it is, it is no reason for anything but a line
            result = SpanExportResult.FAILURE
        is_away = result is not SpanExportResult.SUCCESS
        if is_away and not self._is_away:
            log.warning("traces_not_exported", endpoint=self._endpoint, spans=len(spans))
        elif self._is_away and not is_away:
            log.info("traces_exported_again", endpoint=self._endpoint)
        self._is_away = is_away
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _resource(service: str, more: Mapping[str, str]) -> Resource:
    own = {
        "service.name": service,
        "service.version": version("run-cancel"),
        "service.instance.id": str(uuid4()),
        **more,
    }
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before ours.
    return Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect())
