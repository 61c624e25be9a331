"""Waiting for runs to end: one query for all waiting requests, and no connection held meanwhile."""

import asyncio
from contextlib import suppress
from typing import Final, NoReturn

import structlog

from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database

log = structlog.get_logger(__name__)

# Seconds. Not NOTIFY: it serializes the commits of all workers on one lock of the database.
_INTERVAL: Final = 0.05
_AFTER_FAILURE: Final = 1.0


class TerminalWatch:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self._has_waiters = asyncio.Event()
        self._released = asyncio.Event()

    async def until_terminal(self, run_id: int, seconds: float) -> None:
        """Return when the run is over, after `seconds`, or when the gateway stops."""
        if self._released.is_set():
            return
        ended = asyncio.Event()
        self._waiting.setdefault(run_id, set()).add(ended)
        self._has_waiters.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ended.wait()
        finally:
            self._forget(run_id, ended)

    def release(self) -> None:
        """Release all waiting requests, and let no further one wait: the gateway stops."""
        self._released.set()
        self._wake(list(self._waiting))

    async def run(self) -> NoReturn:
        """Look for runs that have ended, while any request waits for one."""
        while True:
            await self._has_waiters.wait()
            try:
                async with self._database.connection() as connection:
                    over = await connection.fetch(sql.requests.LIST_TERMINAL, list(self._waiting))
                self._wake([row["run_id"] for row in over])
                await asyncio.sleep(_INTERVAL)
            except ServiceUnavailable as error:
                log.warning("runs_not_watched", error=str(error))
                await asyncio.sleep(_AFTER_FAILURE)
            except Exception:  # waiting requests still get a response, only later
                log.exception("runs_not_watched")
                await asyncio.sleep(_AFTER_FAILURE)

    def _wake(self, run_ids: list[int]) -> None:
        for run_id in run_ids:
            for ended in self._waiting.get(run_id, ()):
                ended.set()

    def _forget(self, run_id: int, ended: asyncio.Event) -> None:
        others = self._waiting[run_id]
        others.discard(ended)
        if not others:
            del self._waiting[run_id]
        if not self._waiting:
            self._has_waiters.clear()
