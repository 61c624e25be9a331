"""When the containers of a run are killed, and how long that may take."""

import asyncio
from dataclasses import dataclass
from time import monotonic

from shared.aio.tasks import first_of


@dataclass(frozen=True, slots=True)
class Deadlines:
    """`grace` is when the containers are killed, on the monotonic clock; `kill_wait` in seconds.

    Setting `force` ends the grace period.
    """

    grace: float
    kill_wait: float
    force: asyncio.Event

    async def grace_over(self) -> None:
        """Return at the end of the grace period."""
        left = self.grace - monotonic()
        if left > 0:
            await first_of(asyncio.sleep(left), self.force.wait())
