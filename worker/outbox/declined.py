"""Runs whose events were declined: they wait, and a few at a time are tried again."""

from itertools import islice
from time import monotonic
from typing import Final

_PAUSE: Final = 10.0
"""Seconds until some are tried again, if of the last ones any was declined."""
_AT_A_TIME: Final = 100
"""Runs. Each try costs the channel, and goes again to the queues that take the event."""


class Declined:
    def __init__(self) -> None:
        # In the order in which they were declined last. As many as there are: whatever is
        # forgotten would stand before all others again.
        self._runs: dict[int, None] = {}
        self._pause_until = float("-inf")

    @property
    def waiting(self) -> list[int]:
        """Their events are to be left out."""
        return list(self._runs)

    def add(self, run_id: int) -> bool:
        """Let it wait; whether it is the first one."""
        first = not self._runs
        self._runs[run_id] = None
        if monotonic() >= self._pause_until:  # or new ones would put off the others for ever
            self._pause_until = monotonic() + _PAUSE
        return first

    def release(self) -> bool:
        """Whether some wait no longer: while all are taken, there is no need to pause."""
        if not self._runs or monotonic() < self._pause_until:
            return False
        for run_id in list(islice(self._runs, _AT_A_TIME)):
            del self._runs[run_id]
        return True
