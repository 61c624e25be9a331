"""The tracing interface of the programs, on OpenTelemetry's API.

If tracing is off, it uses the API's no-op tracer. A process without tracing never loads the SDK:
`shared.telemetry.exporting` is imported only if tracing is on.

No global state of OpenTelemetry is used. Contexts are read and written by hand, since
instrumentations of aio-pika still name attributes as they were named before 2024.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from contextvars import Token
from datetime import datetime
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.configuration.tracing import TracingSettings

Value = str | int | float | bool
Attributes = Mapping[str, Value]

# Attributes of spans are named by OpenTelemetry's semantic conventions, and what these have no name
# for has our own.
RUN_ID: Final = "cicd.pipeline.run.id"
COMMAND_ID: Final = "run_cancel.command.id"
OUTCOME: Final = "run_cancel.outcome"

_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Span:
    """A span. As a context manager, it is current within the block and then ends."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    @property
    def trace_id(self) -> str | None:
        """In hexadecimal; None without a trace."""
        found = self._span.get_span_context()
        return trace.format_trace_id(found.trace_id) if found.is_valid else None

    @property
    def context(self) -> Context:
        """The context of its child spans."""
        return trace.set_span_in_context(self._span, Context())

    def __enter__(self) -> Self:
        # NO_SPAN is shared and may be entered several times at once, so it keeps no token.
        if self._span is not trace.INVALID_SPAN:
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
        """Add attributes."""
        self._span.set_attributes(attributes)

    def event(self, name: str, at: datetime, attributes: Attributes) -> None:
        """Add an event."""
        self._span.add_event(name, attributes, timestamp=int(at.timestamp() * 1e9))

    def fail(self, error_type: str) -> None:
        """Mark it as failed. `error_type` must have few distinct values."""
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """End a span that was never current."""
        self._span.end()


class Tracer:
    """Makes spans. If not `on`, callers need not compute attributes."""

    __slots__ = ("_tracer", "on")

    def __init__(self, tracer: trace.Tracer, *, on: bool) -> None:
        self._tracer = tracer
        self.on = on

    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> Span:
        """Start a span: a child of the current one or, if given, of the one in `headers`."""
        within = None
        if headers is not None:
            within = _PROPAGATOR.extract(headers, Context(), _TEXTS)
        return Span(self._tracer.start_span(name, within, kind, attributes))

    def each(self, name: str, parents: Sequence[Span]) -> ExitStack:
        """Start a child span of each of `parents`; they end with the block."""
        spans = ExitStack()
        for parent in parents:
            # Not entered: none of them is the current one.
            spans.push(Span(self._tracer.start_span(name, parent.context)))
        return spans

    def current(self) -> Span:
        return Span(trace.get_current_span())

    def headers(self) -> dict[str, str]:
        """The headers with which a receiver continues the current trace (W3C Trace Context)."""
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
NO_SPAN: Final = Span(trace.INVALID_SPAN)
NO_TRACER: Final = Tracer(trace.NoOpTracer(), on=False)


@asynccontextmanager
async def tracing(
    settings: TracingSettings, service: str, **resource: str
) -> AsyncIterator[Tracer]:
    """The tracer for these settings. At the end of the block, buffered spans are sent.

    `resource` has attributes of the service. Raises InvalidSettings.
    """
    collector = settings.collector
    if collector is None:
        yield NO_TRACER
        return
    from shared.telemetry.exporting import exporting

    async with exporting(collector, service, resource) as provider:
        yield Tracer(provider.get_tracer("run-cancel", version("run-cancel")), on=True)
