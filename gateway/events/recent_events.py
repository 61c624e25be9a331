"""The events that the gateway still has, for streams that reconnect."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final
from uuid import uuid4

from gateway.events.event import Event, Selection, gap_message

_REWIND: Final = timedelta(seconds=5)
"""Another gateway may have received events of different runs in another order."""
_START: Final = "start-"


@dataclass(frozen=True, slots=True)
class _Received:
    at: datetime
    event: Event | None
    """None: events may be missing between the neighbors."""
    message: bytes


class RecentEvents:
    """The latest events, bounded by number and by bytes."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._received: deque[_Received] = deque()
        self._bytes = 0
        self._times: dict[str, datetime] = {}
        self._complete_since = datetime.now(UTC)
        self.latest_id = self._start()

    def add(self, event: Event) -> bool:
        """Keep `event`. False if it is a repeat of one that is still here."""
        if event.id in self._times:
            return False
        at = datetime.now(UTC)
        self._times[event.id] = at
        self._keep(_Received(at, event, event.message))
        self.latest_id = event.id
        return True

    def add_gap(self) -> bytes:
        """Note that events may be missing until now; the message that says so."""
        now = datetime.now(UTC)
        message = gap_message(now)
        if self._received:
            self._keep(_Received(now, None, message))
        else:
            self._complete_since = now
            self.latest_id = self._start()
        return message

    def may_come(self, event_id: str) -> bool:
        """Whether this event is not here, but perhaps will be."""
        return event_id not in self._times and not event_id.startswith(_START)

    def since(self, last_id: str, selection: Selection) -> list[bytes]:
        """The messages for a stream that had `last_id` last; if that is unknown, first a gap.

        They begin some seconds before that event, so a client gets some events again.
        """
        known = self._times.get(last_id)
        if known is None:
            found = [gap_message(self._complete_since)]
            return found + self._selected(self._received, selection)
        start = known - _REWIND
        later = deque(takewhile(lambda it: it.at >= start, reversed(self._received)))
        later.reverse()
        return self._selected(later, selection)

    def _start(self) -> str:
        """An id for streams that begin before the first event."""
        start = f"{_START}{uuid4().hex}"
        self._start_id = start
        self._times = {start: self._complete_since}
        return start

    @staticmethod
    def _selected(received: deque[_Received], selection: Selection) -> list[bytes]:
        return [it.message for it in received if it.event is None or selection.has(it.event)]

    def _keep(self, received: _Received) -> None:
        self._received.append(received)
        self._bytes += len(received.message)
        while len(self._received) > self._most or self._bytes > self._most_bytes:
            oldest = self._received.popleft()
            self._bytes -= len(oldest.message)
            self._complete_since = oldest.at
            if oldest.event is not None:
                del self._times[oldest.event.id]
            self._times.pop(self._start_id, None)
