"""A client's connection to the worker; error responses are JSON."""

import json
from http import HTTPStatus

from aiohttp import web

from shared.http.connection import Connection
from shared.http.faults import RequestFault


class WorkerConnection(Connection):
    __slots__ = ()

    def refusal(self, fault: RequestFault) -> web.StreamResponse:
        return error_response(fault.status, f"the request {fault.problem}")

    def overload_response(self, request: web.BaseRequest) -> web.StreamResponse | None:
        return error_response(503, "the worker has too many connections")

    def internal_error(self) -> web.StreamResponse:
        return error_response(500, "internal error; see the worker's log")

    def unsolicited_response(self, fault: RequestFault) -> bytes:
        body = json.dumps({"error": f"the request {fault.problem}"})
        return (
            f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def error_response(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
