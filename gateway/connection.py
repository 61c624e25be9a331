"""One client's connection: its limits, and an answer in our envelope whatever arrives on it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, cast

import structlog
from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http import RawRequestMessage
from aiohttp.typedefs import Handler

from gateway.errors import from_aiohttp, internal, invalid
from gateway.request_id import bind_request_id, request_id
from gateway.responses import complete, log_response, unasked

log = structlog.get_logger(__name__)

# Bytes: the request line and each header, and all of them together.
_MAX_LINE: Final = 8190
_MAX_HEAD: Final = 65536
_LAST_WORDS: Final = 0.5  # seconds
_OTHER_VERSION: Final = web.RequestKey("other_version", bool)


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds: for a request's head to arrive, for a response to be taken, between requests."""

    head: float
    response: float
    idle: float


class Connection(web.RequestHandler):
    """aiohttp's connection, where its own answers are not in our envelope.

    What cannot be parsed, and an Expect header that cannot be met, never get as far as a
    middleware; and aiohttp has no limits for a head that arrives byte by byte.
    """

    __slots__ = (
        "_answered",
        "_answering",
        "_begun_at",
        "_closed",
        "_head_bytes",
        "_head_timer",
        "_limits",
        "_response_begun_at",
        "_response_timer",
    )

    def __init__(
        self, server: web.Server, limits: TimeLimits, closed: "Callable[[Connection], None]"
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            # Nobody needs a compressed body, and one can grow a thousandfold.
            auto_decompress=False,
            # After a response, for what is left of a body that nobody wants: long enough that a
            # client which is still sending gets to read why it should not.
            lingering_time=2.0,
            access_log=None,  # type: ignore[arg-type]  # what AppRunner passes as well
        )
        self._limits = limits
        self._closed = closed
        self._begun_at: float | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._answering: web.BaseRequest | None = None
        self._response_begun_at = 0.0
        self._response_timer: asyncio.TimerHandle | None = None
        self._answered: asyncio.Event | None = None  # there is one when the gateway is stopping

    @property
    def is_idle(self) -> bool:
        """Nothing of a next request is here yet."""
        return self._awaits_request and self._head_timer is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # A response has been sent, for `limits.response`, once it is out of our hands, and not
        # with up to 64 KiB of it left for a close that waits for the client without end.
        cast(asyncio.WriteTransport, transport).set_write_buffer_limits(high=0)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_arrived()
        self._response_taken()
        super().connection_lost(exc)
        self._closed(self)

    def pause_writing(self) -> None:
        """The client does not take what was just written; most take all of it at once."""
        super().pause_writing()
        loop = asyncio.get_running_loop()
        begun_at = loop.time() if self._answering is None else self._response_begun_at
        late = begun_at + self._limits.response
        self._response_timer = loop.call_at(late, self._response_late)

    def resume_writing(self) -> None:
        self._response_taken()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._awaits_request:
            return  # a whole head has arrived, or this is a body
        if self._head_timer is None:
            self._await_head()
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD and self.transport is not None:
            self.transport.write(unasked(invalid({"request": "has too long a head"}, status=431)))
            self.force_close()

    def request_begins(self) -> None:
        """The head of a request has arrived."""
        self._head_arrived()
        self._begun_at = monotonic()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        self._head_arrived()
        if isinstance(resp, web.HTTPException):
            resp = from_aiohttp(resp).response()
        if self._answered is not None:
            resp.force_close()
        complete(request, resp)
        self._answering = request
        self._response_begun_at = asyncio.get_running_loop().time()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._answering = None
            log_response(request, resp, self._begun_at)
            self._begun_at = None
            if self._answered is not None:
                self._answered.set()

    def close(self) -> None:
        """Close the connection, after the request in flight."""
        if self._begun_at is None:
            super().close()
        else:
            # aiohttp would drop what still arrives, and so the rest of the request's body.
            self._answered = asyncio.Event()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Give the request in flight `timeout` seconds to end, then cut it off."""
        if self._begun_at is not None and self._answered is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._answered.wait()
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
            response = invalid({"request": "was cut off"}).response()
        elif status == HTTPStatus.BAD_REQUEST:
            # `message` quotes what was sent, and that may be a token.
            response = invalid({"request": "is not well-formed HTTP, or too long"}).response()
        else:
            log.error("request_failed", exc_info=exc)
            response = internal().response()
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
        known = None if request is None else request_id(request)
        log.warning("response_not_taken", request_id=known)
        self._abort()

    def _abort(self) -> None:
        # To close would mean to wait until the client has taken what is buffered for it.
        if self.transport is not None:
            self.transport.abort()
        self.force_close()


@web.middleware
async def begin_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection that a head has arrived, and the log of which request its lines are.

    Must be the outermost middleware.
    """
    if isinstance(request.protocol, Connection):
        request.protocol.request_begins()
    bind_request_id(request)
    if request.get(_OTHER_VERSION, False):
        return invalid({"request": "must be HTTP/1.0 or HTTP/1.1"}).response()
    return await handler(request)


def refuse_other_versions(server: web.Server) -> None:
    """Have `begin_request` refuse HTTP/0.9 and the like.

    aiohttp would serve it, and repeat that version in a status line that no client can read.
    """
    make = server.request_factory

    def make_request(message: RawRequestMessage, *others: Any) -> web.BaseRequest:
        if message.version in (HttpVersion10, HttpVersion11):
            return make(message, *others)
        request = make(message._replace(version=HttpVersion11, should_close=True), *others)
        request[_OTHER_VERSION] = True
        return request

    server.request_factory = make_request
