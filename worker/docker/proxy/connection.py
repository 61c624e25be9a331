"""One client's connection: its requests, one after another."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import h11
import structlog

from shared.errors import ServiceUnavailable
from shared.http.connection_slots import ConnectionSlots, Wait
from worker.docker.gates import GateClosed
from worker.docker.proxy.engine import EngineLine
from worker.docker.proxy.exchange import Ending, Exchange
from worker.docker.proxy.headers import asks_for, framing, passed_on, upgrade, values
from worker.docker.proxy.limits import Limits
from worker.docker.proxy.requests import has_arrived, next_request, whole_body
from worker.docker.proxy.splice import splice
from worker.docker.proxy.wire import Gone, Wire
from worker.docker.rules.checks import Admitted, Asked, Checks
from worker.docker.rules.refused import Refused, error_body
from worker.docker.runs import Runs
from worker.docker.scope import Scope
from worker.processes.peer import NotAllowed

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What all connections have in common."""

    engine: Path
    runs: Runs
    checks: Checks
    limits: Limits


class ClientConnection:
    """Serves until either side ends it, or it is cut."""

    def __init__(self, service: Service, connection: socket.socket) -> None:
        self._service = service
        self._limits = service.limits
        self._client = Wire(connection, h11.SERVER, service.limits.head_size)
        self._engine = EngineLine(service.engine, service.limits.head_size)
        self._scope: Scope | None = None
        self._is_idle = True
        self._asks_for_head = False

    def may_be_displaced(self) -> bool:
        """Whether no request is lost: none is in flight, and none has begun to arrive."""
        return self._is_idle and not self._client.has_input()

    def displace(self) -> None:
        self.cut()

    def cut(self) -> None:
        """End the connection; the engine ends what it does for it."""
        self._client.cut()
        self._engine.cut()

    def close(self) -> None:
        self._engine.close()
        self._client.socket.close()

    async def serve(self, slots: ConnectionSlots, *, is_over_limit: bool) -> None:
        with suppress(Gone):
            while True:
                slots.allow_displacing(self, Wait.NEXT_REQUEST)
                self._is_idle = True
                request = await self._next()
                slots.protect(self)
                self._is_idle = False
                if request is None:
                    return
                self._asks_for_head = request.method == b"HEAD"
                try:
                    if is_over_limit:
                        raise Refused(503, "the worker has too many connections")
                    goes_on = await self._answer(request)
                except Refused as refused:
                    goes_on = await self._refuse(refused)
                if not goes_on:
                    return

    async def _next(self) -> h11.Request | None:
        try:
            self._asks_for_head = False
            return await next_request(self._client, self._limits)
        except Refused as refused:
            await self._refuse(refused)
            return None

    async def _answer(self, request: h11.Request) -> bool:
        """Answer one request; whether another one can follow. Raises Refused and Gone."""
        try:
            scope = await self._scope_of_peer()
            admitted = await self._admit(request, scope)
            await self._engine.open()
            exchange = self._exchange(request, admitted)
            try:
                return await self._carry_out(exchange, admitted, scope)
            finally:
                await exchange.close()
        except GateClosed as error:
            raise Refused(409, str(error)) from None
        except ServiceUnavailable as error:
            raise Refused(503, str(error)) from None

    async def _carry_out(self, exchange: Exchange, admitted: Admitted, scope: Scope) -> bool:
        if admitted.builds:
            async with self._service.runs.building(scope, self.cut):
                exchange.begin()
                return await self._pass(exchange)
        if admitted.copies:
            with self._service.runs.copying(scope, self.cut):
                exchange.begin()
                return await self._pass(exchange)
        if admitted.starts:
            async with self._service.runs.starting(scope):
                exchange.begin()
                await exchange.answered()
        else:
            exchange.begin()
        return await self._pass(exchange)

    async def _scope_of_peer(self) -> Scope:
        if self._scope is None:
            try:
                self._scope = await self._service.runs.of_peer(self._client.socket)
            except NotAllowed as error:
                raise Refused(403, str(error)) from None
        return self._scope

    async def _admit(self, request: h11.Request, scope: Scope) -> Admitted:
        asked = Asked(
            request.method.decode("ascii"),
            request.target,
            tuple(value.decode("latin-1") for value in values(request, b"content-type")),
        )
        return await self._service.checks.admit(
            asked, scope, lambda: whole_body(self._client, self._limits)
        )

    def _exchange(self, request: h11.Request, admitted: Admitted) -> Exchange:
        fields = passed_on(request)
        if admitted.body is None:
            fields += framing(request)
        else:
            # The client has been told to continue already.
            fields = [field for field in fields if field[0].lower() != b"expect"]
            fields.append((b"Content-Length", str(len(admitted.body)).encode()))
        if admitted.upgrade is not None and asks_for(request, admitted.upgrade):
            fields += upgrade(admitted.upgrade.encode())
        passed = h11.Request(method=request.method, target=admitted.target, headers=fields)
        return Exchange(
            self._client, self._engine.wire, passed, admitted.body, starts=admitted.starts
        )

    async def _pass(self, exchange: Exchange) -> bool:
        """Until the response is complete; whether another request can follow."""
        goes_on = False
        try:
            ending = await exchange.ended()
            if ending is Ending.SWITCHED:
                await exchange.close()
                await splice(self._client, self._engine.wire)
            elif await exchange.sent(self._limits.linger):
                await exchange.close()
                self._engine.finish()
                goes_on = self._begin_next()
        except Gone as gone:
            if gone.wire is not self._client and not exchange.has_answer:
                raise Refused(502, "the Docker engine has not answered") from None
            return False
        finally:
            await exchange.close()
            if not goes_on:
                # At once, and while it still counts as a build: the engine ends what it does.
                self._engine.close()
        if not goes_on and not self._client.is_closed():
            await self._client.drain(self._limits.linger)
        return goes_on

    def _begin_next(self) -> bool:
        http = self._client.http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            return False
        http.start_next_cycle()
        return True

    async def _refuse(self, refused: Refused) -> bool:
        """Answer in place of the engine; whether another request can follow."""
        log.info(
            "docker_request_refused",
            run_id=None if self._scope is None else self._scope.run_id,
            status=refused.status,
            reason=str(refused),
        )
        client = self._client
        self._engine.close()
        if client.http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return False
        body = error_body(str(refused))
        fields = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(body)).encode()),
        ]
        if not has_arrived(client):
            fields.append((b"Connection", b"close"))
        events: list[h11.Event] = [
            h11.Response(
                status_code=refused.status,
                headers=fields,
                reason=HTTPStatus(refused.status).phrase.encode(),
            )
        ]
        if not self._asks_for_head:
            events.append(h11.Data(data=body))
        await client.send(*events, h11.EndOfMessage())
        if self._begin_next():
            return True
        await client.drain(self._limits.linger)
        return False
