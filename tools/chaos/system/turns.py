"""Faults that need a server for themselves strike one after the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

_QUIET_SECONDS: Final = 3.0
"""Between two faults of a server of which the second had to wait: the load goes on meanwhile."""


class Turns:
    """Gives one server to one fault at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()
        self._struck: set[str] = set()
        self._over = asyncio.Event()

    @asynccontextmanager
    async def take(self, kind: str) -> AsyncIterator[bool]:
        """Whether this fault has the server for the length of the block.

        The first of its kind waits for it, so that each kind strikes in a round that is long
        enough. Others go without a server that is taken: the load needs quiet times, too.
        """
        must_wait = self._free.locked()
        if must_wait and kind in self._struck:
            yield False
            return
        self._struck.add(kind)
        async with self._free:
            if must_wait:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_QUIET_SECONDS):
                        await self._over.wait()
            yield not self._over.is_set()

    def end(self) -> None:
        """The load is over: whatever still waits goes without."""
        self._over.set()
