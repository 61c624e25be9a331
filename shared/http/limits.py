"""Limits on a client: how long it may take, and how large a request head may be."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from shared.http.faults import MAX_HEAD

# Passed with each call, or a connection and its limits would be a reference cycle.
Late = Callable[[], object]


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Timeouts in seconds: to receive a request head, to send a response, between requests."""

    head: float
    response: float
    idle: float


class HeadLimit:
    """The time and the size of the request head that is being received."""

    __slots__ = ("_bytes", "_seconds", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a part of the head has arrived."""
        return self._bytes > 0

    def begin(self, late: Late) -> None:
        """Call `late` if the head has not arrived in time."""
        self._timer = asyncio.get_running_loop().call_later(self._seconds, late)

    def exceeded_by(self, size: int, late: Late) -> bool:
        """Whether the head is too large with `size` more bytes."""
        if self._timer is None:
            self.begin(late)
        self._bytes += size
        return self._bytes > MAX_HEAD

    def end(self) -> None:
        """The head has arrived, or is not expected any more."""
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ResponseLimit:
    """The time for which a client may leave a response unread."""

    __slots__ = ("_begun_at", "_seconds", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_unread(self) -> bool:
        """Whether the client has not read all that was written."""
        return self._timer is not None

    def begin(self) -> None:
        """From now on, a response is sent."""
        self._begun_at = asyncio.get_running_loop().time()

    def end(self) -> None:
        self._begun_at = None

    def unread(self, late: Late) -> None:
        """Call `late` if the client has not read everything in time."""
        loop = asyncio.get_running_loop()
        begun_at = loop.time() if self._begun_at is None else self._begun_at
        self._timer = loop.call_at(begun_at + self._seconds, late)

    def read(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
