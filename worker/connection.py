"""A client's connection to the worker; error responses are JSON."""

from aiohttp import web

from shared.http.connection import Connection
from shared.http.faults import RequestFault
from shared.http.json_responses import json_response, json_response_bytes


class WorkerConnection(Connection):
    __slots__ = ()

    def refusal(self, fault: RequestFault) -> web.StreamResponse:
        return error_response(fault.status, f"the request {fault.problem}")

    def overload_response(self, request: web.BaseRequest) -> web.StreamResponse | None:
        return error_response(503, "the worker has too many connections")

    def internal_error(self) -> web.StreamResponse:
        return error_response(500, "internal error; see the worker's log")

    def raw_response(self, fault: RequestFault) -> bytes:
        return json_response_bytes({"error": f"the request {fault.problem}"}, fault.status)


def error_response(status: int, message: str) -> web.Response:
    return json_response({"error": message}, status)
