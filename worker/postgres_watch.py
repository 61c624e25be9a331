"""Tells when Postgres is unavailable, so that consumers pause.

Each time that a delivery goes back to the broker counts against the delivery limit of its command.
So in a long outage it goes back once, and not each time that the broker's consumer timeout ends (30
minutes).
"""

import asyncio
from math import inf
from typing import Final

import structlog

from shared.postgres.database import Database

log = structlog.get_logger(__name__)

# Seconds.
_PAUSE: Final = 1.0
"""Polling interval."""
_LONG: Final = 5.0
"""During shorter outages, deliveries are kept, and none counts."""


class PostgresWatch:
    """Several consumers wait at a time, and share what Postgres is asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._answered_at = -inf  # the loop's time of the latest question that was answered

    async def until_available(self) -> None:
        """Return once Postgres is available."""
        while not await self._answers():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_PAUSE)

    async def until_unavailable(self) -> None:
        """Return once Postgres has been unavailable for a while."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - max(began, self._answered_at) < _LONG:
            await asyncio.sleep(_PAUSE)
            if loop.time() - self._answered_at >= _PAUSE:
                await self._answers()

    async def _answers(self) -> bool:
        asked_at = asyncio.get_running_loop().time()
        if answers := await self._database.answers():
            self._answered_at = asked_at
        return answers
