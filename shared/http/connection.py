"""One client's connection: its slot, its limits, and our own error responses."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, cast

import structlog
from aiohttp import web

from shared.http.connection_slots import ConnectionLimiter, ConnectionSlots, Wait
from shared.http.faults import CUT_OFF, MAX_LINE, NOT_HTTP, TOO_LONG, RequestFault
from shared.http.limits import HeadLimit, ResponseLimit, TimeLimits

log = structlog.get_logger(__name__)

_SHUTDOWN_TIMEOUT: Final = 0.5  # seconds
_LINGERING: Final = 2.0  # seconds


class Connection(web.RequestHandler, ABC):
    """aiohttp's connection, with a slot and limits of its own.

    Requests that cannot be parsed, and those with an unknown Expect header, never reach a
    middleware; and aiohttp has no timeout for a head that arrives byte by byte.
    """

    __slots__ = (
        "_answering",
        "_begun_at",
        "_has_answered",
        "_head_limit",
        "_is_late",
        "_last_answered",
        "_limiter",
        "_lingering",
        "_on_lost",
        "_response_limit",
        "_slots",
    )

    def __init__(self, server: web.Server, limits: TimeLimits, limiter: ConnectionLimiter) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            # Compressed bodies are not needed, and one can expand a thousandfold.
            auto_decompress=False,
            # After an early response, the rest of the body is still received for a while, so that
            # a client that is still sending can read the response.
            lingering_time=_LINGERING,
            access_log=None,  # type: ignore[arg-type]  # what AppRunner passes as well
        )
        self._head_limit = HeadLimit(limits.head)
        self._response_limit = ResponseLimit(limits.response)
        self._limiter = limiter
        self._slots: ConnectionSlots | None = None
        self._begun_at: float | None = None
        self._answering: web.BaseRequest | None = None
        self._has_answered = False
        self._is_late = False
        self._on_lost: Callable[[], object] | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._last_answered: asyncio.Event | None = None  # there is one when the server is stopping

    @abstractmethod
    def refusal(self, fault: RequestFault) -> web.StreamResponse:
        """The response to a faulty request."""

    @abstractmethod
    def overload_response(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """The response when all slots are taken; None if the request is served anyway."""

    @abstractmethod
    def internal_error(self) -> web.StreamResponse:
        """The response after an internal error."""

    @abstractmethod
    def raw_response(self, fault: RequestFault) -> bytes:
        """A complete response as bytes, for a connection without a parsed request."""

    def id_of(self, request: web.BaseRequest) -> str | None:
        """The request id, where requests have one."""
        return None

    @property
    def begun_at(self) -> float | None:
        """The monotonic time at which the head of the current request had arrived."""
        return self._begun_at

    @property
    def is_late(self) -> bool:
        """The client took too long to read, and the connection was closed."""
        return self._is_late

    def when_lost(self, call: Callable[[], object]) -> None:
        """Call `call` if the connection is lost before the current request is answered."""
        self._on_lost = call

    @property
    def is_over_limit(self) -> bool:
        """All slots are taken: accept this connection only for a refusal or an urgent request."""
        return self._slots is not self._limiter.main

    def turn_away(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """The response to a request that arrived when all slots were taken."""
        answer = self.overload_response(request)
        if answer is not None:
            self._limiter.refused()
            answer.force_close()
        return answer

    def may_be_displaced(self) -> bool:
        """Whether the connection can be dropped without losing a request.

        The socket has no unread request either: the loop reads before it accepts.
        """
        if self._response_limit.is_unread:
            return True  # it does not read its response, so its next request does not matter
        if self._messages:
            # Otherwise, many pipelined requests would keep a slot for long.
            return len(self._messages) > 1
        if self._head_limit.has_begun or (self._has_answered and not self._awaits_request):
            return True  # it is slow to send a head, or a body that is not needed
        return self._awaits_request

    def displace(self) -> None:
        """Close the connection, so that another one gets its slot."""
        if self._response_limit.is_unread:
            self.abort()
        else:
            self.force_close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is one, without inheriting from it.
        client = cast(asyncio.WriteTransport, transport)
        self._slots = self._limiter.admit(self, transport)
        if self._slots is None:
            client.abort()
            return
        super().connection_made(transport)
        # For `limits.response`, a response counts as sent once all of it is in the kernel. By
        # default, up to 64 KiB could be left, and a close would wait for the client forever.
        client.set_write_buffer_limits(high=0)
        self._head_limit.begin(self._head_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_limit.end()
        self._response_limit.read()
        if self._lingering is not None:
            self._lingering.cancel()
        super().connection_lost(exc)
        if isinstance(exc, TimeoutError):  # of the kernel: a response has set TCP_USER_TIMEOUT
            self._is_late = True
        if self._on_lost is not None:
            self._on_lost()
        if self._slots is not None:
            self._slots.release(self)

    def pause_writing(self) -> None:
        """The client has not yet read everything that was written. Most clients read at once."""
        super().pause_writing()
        self._response_limit.unread(self._response_late)
        if self._begun_at is not None:
            self._allow_displacing(Wait.READER)

    def resume_writing(self) -> None:
        self._response_limit.read()
        if self._begun_at is not None:
            self._protect()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._awaits_request:
            return  # a complete head has arrived, or this is part of a body
        too_large = self._head_limit.exceeded_by(len(data), self._head_late)
        if too_large and self.transport is not None:
            self._end_with(self.transport, self.raw_response(TOO_LONG))

    def request_begins(self) -> None:
        """The handling of a request begins."""
        self._head_limit.end()
        self._begun_at = monotonic()
        self._protect()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        self._head_limit.end()
        self._has_answered = True
        if self._last_answered is not None:
            resp.force_close()
        self._answering = request
        self._response_limit.begin()
        if self._response_limit.is_unread:  # the client has not read the previous response
            self._allow_displacing(Wait.READER)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._answering = None
            self._on_lost = None
            self._response_limit.end()
            self._begun_at = None
            self._allow_displacing(Wait.NEXT_REQUEST)
            if self._last_answered is not None:
                self._last_answered.set()

    def close(self) -> None:
        """Close the connection, after the request in flight."""
        if self._begun_at is None:
            super().close()
        else:
            # aiohttp would drop further input, and with it the rest of the request body.
            self._last_answered = asyncio.Event()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Give the request in flight `timeout` seconds to end, then cancel it."""
        if self._begun_at is not None and self._last_answered is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._last_answered.wait()
        await super().shutdown(_SHUTDOWN_TIMEOUT)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to malformed input, and to errors outside the handlers."""
        if isinstance(exc, ConnectionError):  # the client is gone; this only goes to the log
            response = self.refusal(CUT_OFF)
        elif status == HTTPStatus.BAD_REQUEST:
            # `message` quotes the input, which may contain a token.
            response = self.refusal(NOT_HTTP)
        else:
            log.error("request_failed", exc_info=exc)
            response = self.internal_error()
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log errors after the response, unless the cause is a broken request body."""
        error = kw.get("exc_info")
        if isinstance(error, web.RequestPayloadError):
            return
        # A request has ended just as aiohttp 3.14 gave it up: there is no more to tell it.
        if isinstance(error, asyncio.InvalidStateError) and self._last_answered is not None:
            return
        log.error("connection_failed", exc_info=error)

    @property
    def _awaits_request(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _allow_displacing(self, wait: Wait) -> None:
        if self._slots is not None:
            self._slots.allow_displacing(self, wait)

    def _protect(self) -> None:
        if self._slots is not None:
            self._slots.protect(self)

    def _end_with(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Send a response outside of a request, and close the connection."""
        super().close()  # further input is dropped
        self._has_answered = True
        transport.write(answer)
        transport.write_eof()
        # With unread input, an immediate close would reset the connection before the client reads.
        self._head_limit.end()
        loop = asyncio.get_running_loop()
        self._lingering = loop.call_later(_LINGERING, self.abort)

    def _head_late(self) -> None:
        log.info("request_head_late")
        self.abort()

    def _response_late(self) -> None:
        request = self._answering
        known = None if request is None else self.id_of(request)
        log.warning("response_not_taken", request_id=known)
        self._is_late = True
        self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        # A normal close would wait until the client has read the buffered data.
        if self.transport is not None:
            self.transport.abort()
        self.force_close()
