"""Whether Postgres answers, for those who should take nothing on while it does not.

A delivery that is held through a long outage is taken away by the broker after its consumer
timeout (30 minutes), and each time counts against the delivery limit of its command.
"""

import asyncio
from typing import Final

import structlog

from shared.postgres.database import Database

log = structlog.get_logger(__name__)

# Seconds.
_PAUSE: Final = 1.0
"""Between two questions."""
_LONG: Final = 5.0
"""Shorter outages are waited out with the deliveries in hand."""


class PostgresWatch:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def answers(self) -> None:
        """Return once Postgres answers."""
        while not await self._database.answers():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_PAUSE)

    async def is_away(self) -> None:
        """Return once Postgres has not answered for a while."""
        loop = asyncio.get_running_loop()
        answered = loop.time()
        while loop.time() - answered < _LONG:
            await asyncio.sleep(_PAUSE)
            asked = loop.time()
            if await self._database.answers():
                answered = asked
