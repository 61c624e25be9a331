"""The open streams, each with a bounded queue of messages that its client has not been sent yet."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum, auto
from itertools import chain
from typing import Final

from gateway.events.event import Event, Selection

# Several times what a gateway receives together.
_MOST: Final = 4000
_MOST_BYTES: Final = 4 * 1024 * 1024
_PIECE: Final = 65536
"""Bytes that are sent together."""


class End(Enum):
    """Why a stream is over."""

    DROPPED = auto()
    """Its client did not keep up."""
    CLIENT_LEFT = auto()
    GATEWAY_STOPS = auto()


class Reader:
    """The messages for one stream."""

    __slots__ = ("_backlog", "_bytes", "_changed", "_drop", "_queue", "end", "selection")

    def __init__(
        self, selection: Selection, backlog: Iterable[bytes], drop: Callable[[], object]
    ) -> None:
        """`backlog` is sent first. `drop` closes the connection of a client that is too slow."""
        self.selection = selection
        self.end: End | None = None
        self._backlog = deque(backlog)
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._drop = drop
        self._changed = asyncio.Event()
        if self._backlog:
            self._changed.set()

    def put(self, message: bytes) -> None:
        if self.end is not None:
            return
        if len(self._queue) >= _MOST or self._bytes + len(message) > _MOST_BYTES:
            self.finish(End.DROPPED)
            self._drop()
            return
        self._queue.append(message)
        self._bytes += len(message)
        self._changed.set()

    def finish(self, end: End) -> None:
        """No more messages: the stream is over."""
        if self.end is None:
            self.end = end
            self._backlog.clear()
            self._queue.clear()
            self._changed.set()

    async def wait(self, seconds: float) -> bool:
        """Return when there are messages or the stream is over; False if not within `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        return self._changed.is_set()

    def take(self) -> bytes:
        """The next messages, as many as go together; empty if there are none."""
        pieces, size = [], 0
        while size < _PIECE and (self._backlog or self._queue):
            if self._backlog:
                message = self._backlog.popleft()
            else:
                message = self._queue.popleft()
                self._bytes -= len(message)
            pieces.append(message)
            size += len(message)
        if self.end is None and not self._backlog and not self._queue:
            self._changed.clear()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Readers:
    """All readers, by the run that they are about."""

    def __init__(self) -> None:
        self._by_run: dict[int | None, set[Reader]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_run.values()))

    def add(self, reader: Reader) -> None:
        self._by_run.setdefault(reader.selection.run_id, set()).add(reader)

    def remove(self, reader: Reader) -> None:
        run_id = reader.selection.run_id
        others = self._by_run[run_id]
        others.discard(reader)
        if not others:
            del self._by_run[run_id]

    def send(self, event: Event) -> None:
        """Queue `event` for everyone who selected it."""
        for run_id in (None, event.run_id):
            for reader in self._by_run.get(run_id, ()):
                if reader.selection.has(event):
                    reader.put(event.message)

    def send_all(self, message: bytes) -> None:
        for reader in self._all():
            reader.put(message)

    def finish_all(self, end: End) -> None:
        for reader in self._all():
            reader.finish(end)

    def _all(self) -> Iterator[Reader]:
        return chain.from_iterable(self._by_run.values())
