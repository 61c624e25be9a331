"""Waiting for runs to end and commands to settle: one query for all waiting requests.

No connection is held meanwhile.
"""

import asyncio
from contextlib import suppress
from typing import Final, NoReturn
from uuid import UUID

import structlog

from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database

log = structlog.get_logger(__name__)

# Seconds. Not NOTIFY: it serializes the commits of all workers on one lock of the database.
_INTERVAL: Final = 0.05
_AFTER_FAILURE: Final = 1.0


Awaited = int | UUID
"""The id of a run or of a command."""


class TerminalWatch:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[Awaited, set[asyncio.Event]] = {}
        self._has_waiters = asyncio.Event()
        self._released = asyncio.Event()

    async def until_terminal(self, run_id: int, seconds: float) -> None:
        """Return when the run is over, after `seconds`, or when the gateway stops."""
        await self._until(run_id, seconds)

    async def until_settled(self, command_id: UUID, seconds: float) -> None:
        """Return when the command has its outcome, after `seconds`, or when the gateway stops.

        It need not be on record yet.
        """
        await self._until(command_id, seconds)

    async def _until(self, awaited: Awaited, seconds: float) -> None:
        if self._released.is_set():
            return
        ended = asyncio.Event()
        self._waiting.setdefault(awaited, set()).add(ended)
        self._has_waiters.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ended.wait()
        finally:
            self._forget(awaited, ended)

    def release(self) -> None:
        """Release all waiting requests, and let no further one wait: the gateway stops."""
        self._released.set()
        self._wake(list(self._waiting))

    async def run(self) -> NoReturn:
        """Look for what has ended, while any request waits for it."""
        while True:
            await self._has_waiters.wait()
            try:
                self._wake(await self._ended())
                await asyncio.sleep(_INTERVAL)
            except ServiceUnavailable as error:
                log.warning("runs_not_watched", error=str(error))
                await asyncio.sleep(_AFTER_FAILURE)
            except Exception:  # waiting requests still get a response, only later
                log.exception("runs_not_watched")
                await asyncio.sleep(_AFTER_FAILURE)

    async def _ended(self) -> list[Awaited]:
        runs = [it for it in self._waiting if isinstance(it, int)]
        commands = [it for it in self._waiting if isinstance(it, UUID)]
        async with self._database.connection() as connection:
            rows = await connection.fetch(sql.requests.LIST_ENDED, runs, commands)
        return [row["command_id"] or row["run_id"] for row in rows]

    def _wake(self, over: list[Awaited]) -> None:
        for awaited in over:
            for ended in self._waiting.get(awaited, ()):
                ended.set()

    def _forget(self, awaited: Awaited, ended: asyncio.Event) -> None:
        others = self._waiting[awaited]
        others.discard(ended)
        if not others:
            del self._waiting[awaited]
        if not self._waiting:
            self._has_waiters.clear()
