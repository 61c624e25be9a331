"""Notices that something has changed, by the sequences of the tables that tell of it.

Each event, dead letter and operator's action takes a number. Reading the latest numbers costs less
than a lookup by key, needs no broker, and is done only while someone looks at a page.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import structlog
from asyncpg import PostgresError

from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database

log = structlog.get_logger(__name__)

_EVERY: Final = 0.5  # seconds


class Watcher:
    """Someone who looks at a page."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        self._changed.set()

    async def changed(self, timeout: float) -> bool:
        """Wait until something has changed, for at most `timeout` seconds; whether it has."""
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


class Changes:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: set[Watcher] = set()
        self._watched = asyncio.Event()
        self.is_over = False

    async def run(self) -> NoReturn:
        """Look for changes while there are watchers."""
        known: list[int] | None = None
        repeat = False
        while True:
            await self._watched.wait()
            found = await self._latest()
            if found is not None and known is not None and (found != known or repeat):
                # A number is taken before its transaction is committed, so look once more.
                repeat = found != known
                self._tell_all()
            known = found or known
            await asyncio.sleep(_EVERY)

    @contextmanager
    def watching(self) -> Iterator[Watcher]:
        watcher = Watcher()
        self._watchers.add(watcher)
        self._watched.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._watched.clear()

    def end(self) -> None:
        """The console stops: no watcher waits any longer."""
        self.is_over = True
        self._tell_all()

    def _tell_all(self) -> None:
        for watcher in self._watchers:
            watcher.tell()

    async def _latest(self) -> list[int] | None:
        try:
            rows = await self._database.fetch(sql.console.LATEST_NUMBERS)
        except (ServiceUnavailable, PostgresError) as error:
            log.debug("changes_not_read", error=str(error))
            return None
        return [row["given"] for row in rows]
