"""Spans and tracer on OpenTelemetry's API, for a program with tracing.

No global state of OpenTelemetry is used. Contexts are read and written by hand, since
instrumentations of aio-pika still name attributes as they were named before 2024.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from contextvars import Token
from datetime import datetime
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.telemetry.tracing import NO_SPAN, Attributes, Span, SpanKind, Tracer

_KINDS: Final = {kind: trace.SpanKind[kind.name] for kind in SpanKind}
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def recording(provider: TracerProvider) -> Tracer:
    """A tracer whose spans `provider` gets."""
    return _RecordingTracer(provider.get_tracer("run-cancel", version("run-cancel")))


class _RecordedSpan(Span):
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
        """The context of its child spans."""
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

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        self._span.end()


class _RecordingTracer(Tracer):
    __slots__ = ("_tracer",)

    on = True

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> Span:
        within = None
        if headers is not None:
            within = _PROPAGATOR.extract(headers, Context(), _TEXTS)
        return _RecordedSpan(self._tracer.start_span(name, within, _KINDS[kind], attributes))

    def each(self, name: str, parents: Sequence[Span]) -> ExitStack:
        spans = ExitStack()
        for parent in parents:
            if isinstance(parent, _RecordedSpan):
                # Not entered: none of them is the current one.
                spans.push(_RecordedSpan(self._tracer.start_span(name, parent.context)))
        return spans

    def current(self) -> Span:
        found = trace.get_current_span()
        return NO_SPAN if found is trace.INVALID_SPAN else _RecordedSpan(found)

    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        _PROPAGATOR.inject(found)
        return found


class _Texts(Getter[Mapping[str, object]]):
    """Reads message headers, which may have values of any type."""

    def get(self, carrier: Mapping[str, object], key: str) -> list[str] | None:
        value = carrier.get(key)
        return [value] if isinstance(value, str) else None

    def keys(self, carrier: Mapping[str, object]) -> list[str]:
        return list(carrier)


_TEXTS: Final = _Texts()
