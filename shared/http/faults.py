"""Faults in the framing of a request, found before it is handled."""

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http import RawRequestMessage

MAX_LINE: Final = 8190
"""Bytes of the request line, and of each header."""
MAX_HEAD: Final = 65536
"""Bytes of the request line and all headers together."""


@dataclass(frozen=True, slots=True)
class RequestFault:
    """`problem` continues a sentence that begins with "the request"."""

    status: int
    problem: str


TOO_LONG: Final = RequestFault(431, "has a request line or headers that are too long")
NOT_HTTP: Final = RequestFault(400, "is not well-formed HTTP, or too long")
CUT_OFF: Final = RequestFault(400, "was cut off")
OTHER_VERSION: Final = RequestFault(400, "must be HTTP/1.0 or HTTP/1.1")
OTHER_FRAMING: Final = RequestFault(
    400, "must have its body length in Content-Length, or only Transfer-Encoding: chunked"
)

# Not among the request keys of the gateway: the worker refuses such requests as well.
_FAULT: Final = web.RequestKey("fault", RequestFault)


def fault_in(request: web.BaseRequest) -> RequestFault | None:
    """The fault that `refuse_faulty` found."""
    return request.get(_FAULT)


def refuse_faulty(server: web.Server) -> None:
    """Mark requests that aiohttp would serve but should not; each closes its connection.

    HTTP/0.9 and the like: aiohttp would repeat that version in a status line that no client can
    read. Heads that are too long, but arrived in one piece. Codings besides `chunked`: a proxy in
    front of us may find another end of the body, and take the rest for another request.
    """
    make = server.request_factory

    def make_request(message: RawRequestMessage, *others: Any) -> web.BaseRequest:
        fault = _fault_of(message)
        if fault is None:
            return make(message, *others)
        request = make(message._replace(version=HttpVersion11, should_close=True), *others)
        request[_FAULT] = fault
        return request

    server.request_factory = make_request


def _fault_of(message: RawRequestMessage) -> RequestFault | None:
    if message.version not in (HttpVersion10, HttpVersion11):
        return OTHER_VERSION
    if len(message.path) + sum(len(n) + len(v) for n, v in message.raw_headers) > MAX_HEAD:
        return TOO_LONG
    if "Transfer-Encoding" in message.headers:
        # The parser refuses a second one, a Content-Length beside it, and folded lines.
        coding = message.headers["Transfer-Encoding"]
        if message.version == HttpVersion10 or coding.lower() != "chunked":
            return OTHER_FRAMING
    return None
