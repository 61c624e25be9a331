"""What comes in from RabbitMQ goes out to the streams."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from weakref import WeakValueDictionary

import structlog

from gateway.events.event import Selection, event_of
from gateway.events.readers import End, Reader, Readers
from gateway.events.recent_events import RecentEvents
from gateway.monitoring.metrics import StreamMetrics
from shared.errors import ServiceUnavailable

log = structlog.get_logger(__name__)

_MOST: Final = 10_000
_MOST_BYTES: Final = 16 * 1024 * 1024


class EventFeed:
    def __init__(self, most_streams: int, metrics: StreamMetrics) -> None:
        """`most_streams`: maximum number of open streams."""
        self._most_streams = most_streams
        self._metrics = metrics
        self._recent = RecentEvents(_MOST, _MOST_BYTES)
        self._readers = Readers()
        self._awaited: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        """By the id of an event. They last as long as somebody waits for them."""
        self._waiting = 0
        self._is_closed = False

    @property
    def latest_id(self) -> str:
        """The id of the latest event of all."""
        return self._recent.latest_id

    def receive(self, body: bytes, message_id: str | None) -> None:
        """Take an event. One that cannot be read is logged and left out."""
        self._metrics.received.inc()
        try:
            event = event_of(body)
        except ValueError as error:
            log.warning("event_not_read", message_id=message_id, error=str(error))
            return
        if self._recent.add(event):
            self._readers.send(event)
            if (arrival := self._awaited.get(event.id)) is not None:
                arrival.set()

    async def wait_for(self, event_id: str, seconds: float) -> None:
        """Wait for an event that may come, for `seconds` at most, or until the gateway stops.

        Raises ServiceUnavailable if there are too many streams, those that wait included.
        """
        if self._is_closed or not self._recent.may_come(event_id):
            return
        self._refuse_too_many()
        arrival = self._awaited.setdefault(event_id, asyncio.Event())
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await arrival.wait()
        finally:
            self._waiting -= 1

    def note_gap(self) -> None:
        """Tell all streams that events may be missing until now."""
        self._readers.send_all(self._recent.add_gap())

    @contextmanager
    def reading(
        self, selection: Selection, last_id: str | None, drop: Callable[[], object]
    ) -> Iterator[Reader]:
        """A reader of the events from now on, or of those after `last_id`.

        `drop` closes the connection of a client that does not keep up. Raises ServiceUnavailable if
        there are too many streams.
        """
        self._refuse_too_many()
        backlog = [] if last_id is None else self._recent.since(last_id, selection)
        reader = Reader(selection, backlog, drop)
        if self._is_closed:
            reader.finish(End.GATEWAY_STOPS)
        self._readers.add(reader)
        self._metrics.open.set(len(self._readers))
        try:
            yield reader
        finally:
            self._readers.remove(reader)
            self._metrics.open.set(len(self._readers))
            if reader.end is End.DROPPED:
                self._metrics.dropped.inc()
                log.info("event_stream_dropped")

    def _refuse_too_many(self) -> None:
        if len(self._readers) + self._waiting >= self._most_streams:
            raise ServiceUnavailable(f"{self._most_streams} event streams are open")

    def close(self) -> None:
        """End all streams, and let no further one wait: the gateway stops."""
        self._is_closed = True
        self._readers.finish_all(End.GATEWAY_STOPS)
        for arrival in self._awaited.values():
            arrival.set()
