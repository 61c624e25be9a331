"""GET /live: tells a page that it has changed. The page then loads itself again.

So there is one way to make each part of a page, and a page without script shows the same.
"""

import asyncio
from typing import Final

from aiohttp import web
from aiohttp_sse import sse_response

from worker.console.live.changes import Changes

_AT_LEAST_EVERY: Final = 5.0
"""Seconds. What only time changes is no event: a host that is silent, for example."""
_AT_MOST_EVERY: Final = 1.0
"""Seconds between two events, as each loads a page."""
_DURATION: Final = 600.0
"""Seconds after which a stream ends, so that a revoked token is noticed. Browsers reconnect."""


class LiveStream:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is None:
            # It is gone already. aiohttp-sse 3.0 asserts that it is not.
            return web.Response()
        loop = asyncio.get_running_loop()
        until = loop.time() + _DURATION
        with self._changes.watching() as watcher:
            try:
                async with sse_response(request, sep="\n") as response:
                    while loop.time() < until and not self._changes.is_over:
                        await watcher.changed(_AT_LEAST_EVERY)
                        await response.send("", event="changed")
                        await asyncio.sleep(_AT_MOST_EVERY)
                return response
            except ConnectionError:
                return web.Response()  # nobody gets it
