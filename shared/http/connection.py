"""One client's connection: its slot among others, its limits, and our own words for a refusal."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, cast

import structlog
from aiohttp import web

from shared.http.connection_slots import ConnectionLimiter, ConnectionSlots, Wait
from shared.http.faults import CUT_OFF, MAX_HEAD, MAX_LINE, NOT_HTTP, TOO_LONG, RequestFault

log = structlog.get_logger(__name__)

_LAST_WORDS: Final = 0.5  # seconds
_LINGERING: Final = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds: for a request's head to arrive, for a response to be taken, between requests."""

    head: float
    response: float
    idle: float


class Connection(web.RequestHandler, ABC):
    """aiohttp's connection, with a slot and limits of its own.

    What cannot be parsed, and an Expect header that cannot be met, never get as far as a
    middleware; and aiohttp has no limits for a head that arrives byte by byte.
    """

    __slots__ = (
        "_answering",
        "_begun_at",
        "_has_answered",
        "_head_bytes",
        "_head_timer",
        "_last_answered",
        "_limiter",
        "_limits",
        "_response_begun_at",
        "_response_timer",
        "_slots",
    )

    def __init__(self, server: web.Server, limits: TimeLimits, limiter: ConnectionLimiter) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            # Nobody needs a compressed body, and one can grow a thousandfold.
            auto_decompress=False,
            # After a response, for what is left of a body that nobody wants: long enough that a
            # client which is still sending gets to read why it should not.
            lingering_time=_LINGERING,
            access_log=None,  # type: ignore[arg-type]  # what AppRunner passes as well
        )
        self._limits = limits
        self._limiter = limiter
        self._slots: ConnectionSlots | None = None
        self._begun_at: float | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._answering: web.BaseRequest | None = None
        self._response_begun_at = 0.0
        self._response_timer: asyncio.TimerHandle | None = None
        self._has_answered = False
        self._last_answered: asyncio.Event | None = None  # there is one when the server is stopping

    @abstractmethod
    def refusal(self, fault: RequestFault) -> web.StreamResponse:
        """What to answer instead of serving a request."""

    @abstractmethod
    def overload_response(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """What to answer when all slots are taken; None where the request is served anyway."""

    @abstractmethod
    def internal_error(self) -> web.StreamResponse:
        """What to answer when we failed."""

    @abstractmethod
    def unsolicited_response(self, fault: RequestFault) -> bytes:
        """A whole response, for where there is no request to answer."""

    def id_of(self, request: web.BaseRequest) -> str | None:
        """The request id, where requests have one."""
        return None

    @property
    def begun_at(self) -> float | None:
        """When the head of the request in hand had arrived, by the monotonic clock."""
        return self._begun_at

    @property
    def is_beyond(self) -> bool:
        """All slots are taken: this one is let in to be told so, or for what is urgent."""
        return self._slots is not self._limiter.main

    def turn_away(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """What to answer to a request that came when all slots were taken."""
        answer = self.overload_response(request)
        if answer is not None:
            self._limiter.refused()
            answer.force_close()
        return answer

    def may_be_displaced(self) -> bool:
        """While it waits: no request is at hand.

        None is in the socket either: the loop reads what there is before it lets anybody in.
        """
        if self.writing_paused:
            return True  # whatever it asked for next, it does not take what it was given
        if self._messages:
            return len(self._messages) > 1  # or many at once would keep a slot for long
        if self._head_bytes or (self._has_answered and not self._awaits_request):
            return True  # it takes its time with a head, or with a body that nobody wants
        return self._awaits_request

    def displace(self) -> None:
        """Close the connection, for another to have its slot."""
        if self.writing_paused:
            self._abort()
        else:
            self.force_close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        client = cast(asyncio.WriteTransport, transport)  # uvloop's is one, but does not say so
        self._slots = self._limiter.admit(self, transport)
        if self._slots is None:
            client.abort()
            return
        super().connection_made(transport)
        # A response has been sent, for `limits.response`, once it is out of our hands, and not
        # with up to 64 KiB of it left for a close that waits for the client without end.
        client.set_write_buffer_limits(high=0)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_arrived()
        self._response_taken()
        super().connection_lost(exc)
        if self._slots is not None:
            self._slots.release(self)

    def pause_writing(self) -> None:
        """The client does not take what was just written; most take all of it at once."""
        super().pause_writing()
        loop = asyncio.get_running_loop()
        begun_at = loop.time() if self._answering is None else self._response_begun_at
        late = begun_at + self._limits.response
        self._response_timer = loop.call_at(late, self._response_late)
        if self._begun_at is not None:
            self._waits(Wait.READER)

    def resume_writing(self) -> None:
        self._response_taken()
        if self._begun_at is not None:
            self._works()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._awaits_request:
            return  # a whole head has arrived, or this is a body
        if self._head_timer is None:
            self._await_head()
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD and self.transport is not None:
            self._end_with(self.transport, self.unsolicited_response(TOO_LONG))

    def request_begins(self) -> None:
        """A request is taken up."""
        self._head_arrived()
        self._begun_at = monotonic()
        self._works()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        self._head_arrived()
        self._has_answered = True
        if self._last_answered is not None:
            resp.force_close()
        self._answering = request
        self._response_begun_at = asyncio.get_running_loop().time()
        if self.writing_paused:  # not even the response before is taken
            self._waits(Wait.READER)
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._answering = None
            self._begun_at = None
            self._waits(Wait.NEXT_REQUEST)
            if self._last_answered is not None:
                self._last_answered.set()

    def close(self) -> None:
        """Close the connection, after the request in flight."""
        if self._begun_at is None:
            super().close()
        else:
            # aiohttp would drop what still arrives, and so the rest of the request's body.
            self._last_answered = asyncio.Event()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Give the request in flight `timeout` seconds to end, then cut it off."""
        if self._begun_at is not None and self._last_answered is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._last_answered.wait()
        await super().shutdown(_LAST_WORDS)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request, or what went wrong around the handlers."""
        if isinstance(exc, ConnectionError):  # the client is gone, so this is for the log alone
            response = self.refusal(CUT_OFF)
        elif status == HTTPStatus.BAD_REQUEST:
            # `message` quotes what was sent, and that may be a token.
            response = self.refusal(NOT_HTTP)
        else:
            log.error("request_failed", exc_info=exc)
            response = self.internal_error()
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what went wrong after the response, unless it is the client's broken body."""
        error = kw.get("exc_info")
        if not isinstance(error, web.RequestPayloadError):
            log.error("connection_failed", exc_info=error)

    @property
    def _awaits_request(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _waits(self, wait: Wait) -> None:
        if self._slots is not None:
            self._slots.waits(self, wait)

    def _works(self) -> None:
        if self._slots is not None:
            self._slots.works(self)

    def _end_with(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Send what is not the answer to a request, and have nothing more to do with the client."""
        super().close()  # what still arrives is dropped
        self._has_answered = True
        transport.write(answer)
        transport.write_eof()
        # Closed at once, with something still unread, it would be reset before that is read.
        self._head_arrived()
        loop = asyncio.get_running_loop()
        self._head_timer = loop.call_later(_LINGERING, self._abort)

    def _await_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._head_timer = loop.call_later(self._limits.head, self._head_late)

    def _head_arrived(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        log.info("request_head_late")
        self._abort()

    def _response_taken(self) -> None:
        if self._response_timer is not None:
            self._response_timer.cancel()
            self._response_timer = None

    def _response_late(self) -> None:
        self._response_timer = None
        request = self._answering
        known = None if request is None else self.id_of(request)
        log.warning("response_not_taken", request_id=known)
        self._abort()

    def _abort(self) -> None:
        # To close would mean to wait until the client has taken what is buffered for it.
        if self.transport is not None:
            self.transport.abort()
        self.force_close()
