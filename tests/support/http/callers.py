"""Callers that use the API all the time, on connections that they keep, and what came of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Final

import aiohttp

from tests.support.http.api import Answer, Api
from tests.support.http.event_stream import streaming

_FIRST: Final = 1000
_PACE: Final = 0.05
"""Seconds between two requests of a caller."""


@dataclass
class Callers:
    """Each method is one caller, until `is_over`; those who follow, until all have ended."""

    api: Api
    took: list[tuple[float, float]] = field(default_factory=list)
    """When each request began, and how long it took, seconds."""
    failed: Counter[str] = field(default_factory=Counter)
    """Errors of connections, answers that are no success, and gaps in event streams."""
    waits: int = 0
    reconnects: int = 0
    canceled: list[int] = field(default_factory=list)
    is_over: bool = False
    have_ended: bool = False
    _runs: Iterator[int] = field(default_factory=lambda: count(_FIRST))

    async def call(self) -> None:
        """Register a run, cancel it, read it; again and again."""
        while not self.is_over:
            run = next(self._runs)
            path = f"/api/v1/runs/{run}"
            await self._timed(self.api.ask("PUT", path, json={}))
            await self._timed(self.api.cancel(run, {"reason": "superseded"}))
            self.canceled.append(run)
            await self._timed(self.api.ask("GET", path))

    async def wait_for(self, run: int) -> None:
        """Wait for a run that does not end."""
        while not self.is_over:
            await self._answered(self.api.ask("GET", f"/api/v1/runs/{run}?wait=2"))
            self.waits += 1

    async def follow(self) -> set[int]:
        """The runs whose end was told, until that of the last one that was canceled.

        Where a stream ends, the next one goes on.
        """
        last_id: str | None = None
        ended: set[int] = set()
        while True:
            try:
                async with streaming(self.api, "?type=ci.run.finished.v1", last_id) as stream:
                    while (message := await stream.next()) is not None:
                        last_id = stream.last_id
                        if message.event == "gap":
                            self.failed["gap"] += 1
                        elif message.event is not None:
                            ended.add(message.json["data"]["run_id"])
                        if self.have_ended and ended.issuperset(self.canceled):
                            return ended
            except (aiohttp.ClientError, AssertionError) as error:
                self.failed[f"stream: {error!r}"] += 1
            self.reconnects += 1

    async def requests(self, number: int) -> None:
        """Return after this many more requests."""
        reached = len(self.took) + number
        while len(self.took) < reached:
            await asyncio.sleep(_PACE)

    async def _timed(self, asked: Awaitable[Answer]) -> None:
        began = monotonic()
        await self._answered(asked)
        self.took.append((began, monotonic() - began))
        await asyncio.sleep(_PACE)

    async def _answered(self, asked: Awaitable[Answer]) -> None:
        try:
            answer = await asked
        except (aiohttp.ClientError, OSError) as error:
            self.failed[type(error).__name__] += 1
        else:
            if answer.status >= 300:
                self.failed[str(answer.status)] += 1

    def figures(self, begin: float, end: float) -> str:
        """Of the requests that began in between."""
        took = sorted(took for began, took in self.took if begin <= began < end)
        p50, p99 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99))
        return f"{len(took)} requests, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
