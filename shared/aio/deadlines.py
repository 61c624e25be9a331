"""Time limits for many waits at once."""

import asyncio
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any


class Deadlines:
    """Makes futures raise TimeoutError, with one event loop timer for all of them.

    A timer per future, nearly always canceled, would be much of the cost of a short wait.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, asyncio.Future[Any]]] = []  # a heap
        self._numbers = count()  # so that futures are never compared
        self._timer: asyncio.Handle | None = None
        # Not asked of the timer: for a time that has come, uvloop has one that does not know it.
        self._wakes_at = inf

    def end(self, future: "asyncio.Future[Any]", at: float) -> None:
        """Make `future` raise TimeoutError at this loop time, unless it is done by then."""
        self._forget_done()
        heappush(self._due, (at, next(self._numbers), future))
        if at < self._wakes_at:
            self._wake_at(at)

    def _forget_done(self) -> None:
        while self._due and self._due[0][2].done():
            heappop(self._due)

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._look)
        self._wakes_at = at

    def _look(self) -> None:
        self._timer, self._wakes_at = None, inf
        now = asyncio.get_running_loop().time()
        self._forget_done()
        while self._due and self._due[0][0] <= now:
            heappop(self._due)[2].set_exception(TimeoutError())
            self._forget_done()
        if self._due:
            self._wake_at(self._due[0][0])
