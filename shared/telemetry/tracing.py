"""The tracing interface of the programs. What is here does nothing: tracing is off.

If it is on, `shared.telemetry.recording` has the spans and the tracer. Only then is OpenTelemetry
loaded.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

from shared.configuration.tracing import TracingSettings

Value = str | int | float | bool
Attributes = Mapping[str, Value]

# Attributes of spans are named by OpenTelemetry's semantic conventions, and what these have no name
# for has our own.
RUN_ID: Final = "cicd.pipeline.run.id"
COMMAND_ID: Final = "run_cancel.command.id"
OUTCOME: Final = "run_cancel.outcome"


class SpanKind(StrEnum):
    """OpenTelemetry's kinds of spans that we make."""

    INTERNAL = "internal"
    SERVER = "server"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span:
    """A span. As a context manager, it is current within the block and then ends."""

    __slots__ = ()

    @property
    def trace_id(self) -> str | None:
        """In hexadecimal; None without a trace."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it; with an error, it has failed."""

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""

    def event(self, name: str, at: datetime, attributes: Attributes) -> None:
        """Add an event."""

    def fail(self, error_type: str) -> None:
        """Mark it as failed. `error_type` must have few distinct values."""

    def end(self) -> None:
        """End a span that was never current."""


NO_SPAN: Final = Span()


class Tracer:
    """Makes spans. If not `on`, callers need not compute attributes."""

    __slots__ = ()

    on = False

    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> Span:
        """Start a span: a child of the current one or, if given, of the one in `headers`."""
        return NO_SPAN

    def each(self, name: str, parents: Sequence[Span]) -> ExitStack:
        """Start a child span of each of `parents`; they end with the block."""
        return ExitStack()

    def current(self) -> Span:
        return NO_SPAN

    def headers(self) -> dict[str, str]:
        """The headers with which a receiver continues the current trace (W3C Trace Context)."""
        return {}


NO_TRACER: Final = Tracer()


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
    from shared.telemetry.recording import recording

    async with exporting(collector, service, resource) as provider:
        yield recording(provider)
