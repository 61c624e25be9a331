"""Counters of the gateway. Labels are bound once, so that no request has to look them up."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.cancels.publisher import PublishResult
from gateway.http.errors import ApiError
from gateway.schemas import CancelStatus
from shared.errors import PublishRefused, ServiceUnavailable

_FOUND: Final = "found"
_ANSWERED: Final = "answered"
# Seconds. A confirm takes a few milliseconds, and at most `CANCEL_CONFIRM_TIMEOUT`.
_PUBLISH_BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class RequestFailure(StrEnum):
    """Why a request failed, by its `code`."""

    VALIDATION_ERROR = "validation_error"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL_ERROR = "internal_error"


_BY_CODE: Final = {failure.value: failure for failure in RequestFailure}


class Requests:
    """The requests of one operation, by outcome."""

    def __init__(
        self, name: str, documentation: str, successes: Iterable[str], registry: CollectorRegistry
    ) -> None:
        counter = Counter(name, documentation, ["outcome"], registry=registry)
        self._by_outcome = {
            outcome: counter.labels(str(outcome)) for outcome in (*successes, *RequestFailure)
        }

    def count(self, outcome: str) -> None:
        self._by_outcome[outcome].inc()

    def counting_failures(self, handler: Handler) -> Handler:
        """`handler`, but counting its errors."""

        async def counted(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except Exception as error:
                self.count(failure_of(error))
                raise

        return counted

    def counting(self, success: str, handler: Handler) -> Handler:
        """`handler`, but counting its errors and, as `success`, its other answers."""
        counting_failures = self.counting_failures(handler)

        async def counted(request: web.Request) -> web.StreamResponse:
            response = await counting_failures(request)
            self.count(success)
            return response

        return counted


class StreamMetrics:
    """Event streams."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = Gauge(
            "cancel_event_streams",
            "Open event streams.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.dropped = Counter(
            "cancel_event_streams_dropped",
            "Event streams that were closed because their client did not keep up.",
            registry=registry,
        )
        self.received = Counter(
            "cancel_event_streams_received",
            "Events that the gateway received from RabbitMQ.",
            registry=registry,
        )


class GatewayMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.accepts = Requests(
            "cancel_accepts",
            "Requests to cancel a run, by result.",
            (CancelStatus.ACCEPTED, CancelStatus.NO_OP),
            registry,
        )
        self.reads = Requests(
            "cancel_reads",
            "Requests for the status of a run or for a list of runs, by result.",
            (_FOUND,),
            registry,
        )
        self.registers = Requests(
            "cancel_registers",
            "Requests to register runs, by result.",
            (_ANSWERED,),
            registry,
        )
        self.connections_refused = Counter(
            "cancel_connections_refused",
            "Connections answered with 503 because too many were open.",
            registry=registry,
        )
        self.streams = StreamMetrics(registry)
        publish = Histogram(
            "cancel_publish_duration_seconds",
            "Time from publishing a command to RabbitMQ's answer.",
            ["result"],
            buckets=_PUBLISH_BUCKETS,
            registry=registry,
        )
        self._publish = {result: publish.labels(result.value) for result in PublishResult}

    def published(self, result: PublishResult, seconds: float) -> None:
        self._publish[result].observe(seconds)

    def counting_reads(self, handler: Handler) -> Handler:
        """`handler`, but counting its results."""
        return self.reads.counting(_FOUND, handler)

    def counting_registers(self, handler: Handler) -> Handler:
        """`handler`, but counting its results."""
        return self.registers.counting(_ANSWERED, handler)


def failure_of(error: Exception) -> RequestFailure:
    """The failure that `answer_errors` reports for `error`."""
    match error:
        case ApiError():
            return _BY_CODE.get(error.body.code, RequestFailure.INTERNAL_ERROR)
        case ServiceUnavailable() | PublishRefused():
            return RequestFailure.UNAVAILABLE
        case web.HTTPException():
            return RequestFailure.VALIDATION_ERROR
        case _:
            return RequestFailure.INTERNAL_ERROR
