"""Runs whose events were declined. They wait, and a few at a time are retried.

An event that names no run is a run of its own, with its negative event id.
"""

from itertools import islice
from time import monotonic
from typing import Final

_PAUSE: Final = 10.0
"""Pause before some are retried, if one of the last was declined, seconds."""
_AT_A_TIME: Final = 100
"""Runs per retry. Each declined event closes the channel, and other queues get a duplicate."""


class Declined:
    def __init__(self) -> None:
        # In the order of their last decline. Unlimited: a forgotten run would be published first
        # again.
        self._runs: dict[int, None] = {}
        self._pause_until = float("-inf")

    @property
    def waiting(self) -> list[int]:
        """The runs whose events are skipped."""
        return list(self._runs)

    def add(self, run_id: int) -> bool:
        """Let a run wait; whether it is the first one."""
        first = not self._runs
        self._runs[run_id] = None
        if monotonic() >= self._pause_until:  # otherwise, new ones would delay the others forever
            self._pause_until = monotonic() + _PAUSE
        return first

    def release(self) -> bool:
        """End the wait of a few runs, unless paused; whether there were any."""
        if not self._runs or monotonic() < self._pause_until:
            return False
        for run_id in list(islice(self._runs, _AT_A_TIME)):
            del self._runs[run_id]
        return True
