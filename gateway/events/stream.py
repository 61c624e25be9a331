"""GET /api/v1/events."""

import asyncio
import random
from dataclasses import dataclass
from typing import Final

from aiohttp import HttpVersion10, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp_sse import EventSourceResponse, sse_response

from gateway.auth.access import Scope
from gateway.auth.admission import Access, Budget, Gate
from gateway.events.event import position_message
from gateway.events.feed import EventFeed
from gateway.events.query import last_id_of, selection_of
from gateway.events.readers import End, Reader
from gateway.http.connection import GatewayConnection
from shared.http.connection import Connection

_ACCESS: Final = Access(Budget.READ, Scope.RUNS_READ)
_COMMENT_EVERY: Final = 15.0
"""Seconds."""
_SHORTEST: Final = 0.8
"""The part of its duration that a stream lasts at least. It varies, so that clients that connected
together do not reconnect together."""
_BEHIND: Final = 2.0
"""Seconds by which this gateway may receive an event later than the gateway that a client left."""


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Seconds."""

    unread: float
    """For which a client may leave what it was sent unread."""
    duration: float
    """After which a stream ends at the latest, so that a revoked token is noticed."""


class EventStreams:
    def __init__(self, gate: Gate, feed: EventFeed, times: StreamTimes) -> None:
        self._gate = gate
        self._feed = feed
        self._times = times

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await self._gate.admit(request, _ACCESS)
        selection, last_id = selection_of(request), last_id_of(request)
        if request.method == "HEAD":
            return web.Response(content_type="text/event-stream")
        if last_id is not None:
            await self._feed.wait_for(last_id, _BEHIND)
        if request.transport is None:
            return web.Response()  # the client has left meanwhile
        connection = _connection_of(request)
        with self._feed.reading(selection, last_id, connection.abort) as reader:
            connection.when_lost(lambda: _lost(connection, reader))
            try:
                async with sse_response(
                    request,
                    sep="\n",
                    send_timeout=self._times.unread,
                    ping_interval=_COMMENT_EVERY,
                    response_cls=_Response,
                ) as response:
                    await self._send(reader, response, last_id)
                return response
            except ConnectionError:
                _lost(connection, reader)
                return web.Response()  # nobody gets it

    async def _send(self, reader: Reader, response: web.StreamResponse, told: str | None) -> None:
        """Send what the reader gets, until the stream is over.

        While there is nothing to send, also the id of the latest event of all: without it, a client
        that selects few events, or had none yet, could not say where to go on after a reconnect.
        """
        loop = asyncio.get_running_loop()
        part = random.uniform(_SHORTEST, 1)  # noqa: S311 - no secret
        until = loop.time() + part * self._times.duration
        is_idle = True
        while reader.end is None:
            latest = self._feed.latest_id
            if messages := reader.take():
                await response.write(messages)
                continue
            left = until - loop.time()
            if latest != told and (is_idle or left <= 0):
                told = latest
                await response.write(position_message(latest))
            if left <= 0:
                break
            is_idle = not await reader.wait(min(_COMMENT_EVERY, left))


class _Response(EventSourceResponse):
    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if self.prepared:
            return await web.StreamResponse.prepare(self, request)
        del self.headers["Cache-Control"]  # ours is stricter
        connection = _connection_of(request)
        connection.complete(request, self)
        if request.version == HttpVersion10:  # only its end shows where the body ends
            self.headers["Connection"] = "close"
            self.force_close()
        return await super().prepare(request)


def _connection_of(request: web.BaseRequest) -> GatewayConnection:
    connection = request.protocol
    assert isinstance(connection, GatewayConnection)  # noqa: S101 - there are no others
    return connection


def _lost(connection: Connection, reader: Reader) -> None:
    reader.finish(End.DROPPED if connection.is_late else End.CLIENT_LEFT)
