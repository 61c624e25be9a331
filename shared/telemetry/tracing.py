"""Tracing as the programs see it. What is here is tracing that is off, and costs next to nothing.

`shared.telemetry.otel` is tracing that is on. Only `tracing` imports it, so that a process without
tracing never loads the SDK.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import ClassVar, Final, Self

from shared.telemetry.settings import TracingSettings

Value = str | int | float | bool
Attributes = Mapping[str, Value]

# Attributes of spans are named by OpenTelemetry's semantic conventions, and what these have no name
# for has our own.
RUN_ID: Final = "cicd.pipeline.run.id"
COMMAND_ID: Final = "run_cancel.command.id"
OUTCOME: Final = "run_cancel.outcome"


class Kind(StrEnum):
    """OpenTelemetry's kinds of spans, as far as there are such here."""

    INTERNAL = "internal"
    SERVER = "server"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span:
    """Something that takes time. As a context manager it is current within the block, then ends."""

    __slots__ = ()

    @property
    def trace_id(self) -> str | None:
        """In hexadecimal; None where there is no trace."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""

    def event(self, name: str, at: datetime, attributes: Attributes) -> None:
        """Add something that happened meanwhile."""

    def fail(self, error_type: str, description: str | None = None) -> None:
        """Mark it as failed; there are only few values of `error_type`."""

    def end(self) -> None:
        """End a span that was never current."""


class Tracer:
    """Makes spans. By `on` callers need not describe what nobody will see."""

    __slots__ = ()

    on: ClassVar[bool] = False

    def span(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        attributes: Attributes | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> Span:
        """A span that begins now: below the current one or, if given, the one of `headers`."""
        return NO_SPAN

    def each(self, name: str, parents: Sequence[Span]) -> Span:
        """A span below each of `parents`, all of the same time."""
        return NO_SPAN

    def current(self) -> Span:
        return NO_SPAN

    def headers(self) -> dict[str, str]:
        """The headers by which a receiver goes on with the current trace (W3C Trace Context)."""
        return {}

    async def close(self) -> None:
        """Send what is still buffered, within a bounded time."""


NO_SPAN: Final = Span()
NO_TRACER: Final = Tracer()


@asynccontextmanager
async def tracing(
    settings: TracingSettings, service: str, **resource: str
) -> AsyncIterator[Tracer]:
    """The tracer that the settings ask for; however the block ends, what is buffered is sent.

    `resource` says more about the service. Raises InvalidSettings.
    """
    tracer = _tracer_for(settings, service, resource)
    try:
        yield tracer
    finally:
        await tracer.close()


def _tracer_for(settings: TracingSettings, service: str, resource: Mapping[str, str]) -> Tracer:
    endpoint = settings.traces_endpoint
    if endpoint is None:
        return NO_TRACER
    from shared.telemetry.otel import OtelTracer

    return OtelTracer.sending_to(endpoint, service, resource)
