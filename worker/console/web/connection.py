"""A browser's connection to the console; responses outside of a page are one line of text."""

from http import HTTPStatus

from aiohttp import web

from shared.http.connection import Connection
from shared.http.faults import RequestFault
from worker.console.web.security import SECURITY_HEADERS


class ConsoleConnection(Connection):
    __slots__ = ()

    def refusal(self, fault: RequestFault) -> web.StreamResponse:
        return _text(fault.status, f"The request {fault.problem}.")

    def overload_response(self, request: web.BaseRequest) -> web.StreamResponse | None:
        return _text(503, "The console has too many connections.")

    def internal_error(self) -> web.StreamResponse:
        return _text(500, "Internal error; see the console's log.")

    def raw_response(self, fault: RequestFault) -> bytes:
        content = f"The request {fault.problem}.\n".encode()
        head = {
            **SECURITY_HEADERS,
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(content)),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in head.items()]
        return "\r\n".join((*lines, "", "")).encode() + content


def _text(status: int, line: str) -> web.Response:
    return web.Response(text=f"{line}\n", status=status, headers=SECURITY_HEADERS)
