"""Exports spans to a collector with OpenTelemetry's SDK, by OTLP over HTTP."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from threading import Thread
from typing import Final
from uuid import uuid4

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from shared.errors import InvalidSettings
from shared.services.urls import without_password

log = structlog.get_logger(__name__)

_LAST_EXPORT: Final = 5.0
"""Timeout for the export of buffered spans at the end, seconds."""


@asynccontextmanager
async def exporting(
    collector: str, service: str, resource: Mapping[str, str]
) -> AsyncIterator[TracerProvider]:
    """A provider whose spans go to `collector`, as the variables of OpenTelemetry say.

    Raises InvalidSettings.
    """
    try:
        exporter = _SaidOnce(OTLPSpanExporter(), collector)
        # Its own exit handler would wait for 30 s.
        provider = TracerProvider(resource=_resource(service, resource), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except ValueError as error:
        raise InvalidSettings(f"the OTEL_ settings cannot be used: {error}") from None
    try:
        yield provider
    finally:
        # The SDK waits for 30 s, whatever its settings. Its thread ends with the process.
        closing = Thread(target=provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _LAST_EXPORT)
        if closing.is_alive():
            log.warning("traces_dropped", reason="the collector took too long")


class _SaidOnce(SpanExporter):
    """Logs an outage of the collector once, not with each export as the SDK does."""

    def __init__(self, exporter: SpanExporter, collector: str) -> None:
        self._exporter = exporter
        self._collector = without_password(collector)
        self._is_away = False
        for name in ("opentelemetry", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:  # no error here may do more than log a line
            result = SpanExportResult.FAILURE
        is_away = result is not SpanExportResult.SUCCESS
        if is_away and not self._is_away:
            log.warning("traces_not_exported", endpoint=self._collector, spans=len(spans))
        elif self._is_away and not is_away:
            log.info("traces_exported_again", endpoint=self._collector)
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
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence.
    return Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect())
