"""A client's connection to the gateway: every response, also to malformed input, is an envelope."""

from aiohttp import web

from gateway.http.cors import Cors
from gateway.http.draining import Draining
from gateway.http.errors import ApiError, from_aiohttp, internal, invalid, unavailable
from gateway.http.request_id import request_id
from gateway.http.responses import QUIET, complete, log_response, raw_response
from shared.http.connection import Connection
from shared.http.connection_slots import ConnectionLimiter
from shared.http.faults import RequestFault
from shared.http.limits import TimeLimits


class GatewayConnection(Connection):
    """Adds the common headers to each response, and logs a line for it."""

    __slots__ = ("_cors", "_draining")

    def __init__(
        self,
        server: web.Server,
        limits: TimeLimits,
        limiter: ConnectionLimiter,
        cors: Cors,
        draining: Draining,
    ) -> None:
        super().__init__(server, limits, limiter)
        self._cors = cors
        self._draining = draining

    def refusal(self, fault: RequestFault) -> web.StreamResponse:
        return _refused(fault).response()

    def overload_response(self, request: web.BaseRequest) -> web.StreamResponse | None:
        return None if request.path in QUIET else unavailable().response()

    def internal_error(self) -> web.StreamResponse:
        return internal().response()

    def raw_response(self, fault: RequestFault) -> bytes:
        return raw_response(_refused(fault), self._cors)

    def id_of(self, request: web.BaseRequest) -> str | None:
        return request_id(request)

    def complete(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Add the headers that every response has. Not needed for one that a handler returns."""
        complete(request, response, self._cors)
        if self._draining.has_begun:
            # So no proxy or client has an idle connection to send a request on when it is closed.
            response.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException):
            resp = from_aiohttp(resp).response()
        self.complete(request, resp)
        begun_at = self.begun_at
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            log_response(request, resp, begun_at)


def _refused(fault: RequestFault) -> ApiError:
    return invalid({"request": fault.problem}, fault.status)
