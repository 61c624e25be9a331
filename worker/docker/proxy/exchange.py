"""One request and its response, which pass at the same time."""

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import Final

import h11

from shared.aio.tasks import end, first_of
from worker.docker.proxy.headers import framing, passed_on, upgrade, values
from worker.docker.proxy.wire import Gone, Wire

# Bytes of further requests that a client may send before it has its response. Beyond that we do not
# read, so a client that leaves is noticed only once the engine says something.
_MOST_AHEAD: Final = 64 * 1024


class Ending(StrEnum):
    COMPLETE = "complete"
    SWITCHED = "switched"
    """The engine has switched to another protocol; the client knows."""


class Exchange:
    """One of its two tasks reads the client, the other the engine."""

    def __init__(
        self,
        client: Wire,
        engine: Wire,
        request: h11.Request,
        body: bytes | None,
        *,
        starts: bool,
    ) -> None:
        """`request` is what the engine gets; with `body` None, the client's body is passed on.

        With `starts`, the engine is not told before its answer that the client writes no more.
        """
        self._client = client
        self._engine = engine
        self._request = request
        self._body = body
        self._starts = starts
        self._upgrades = bool(values(request, b"upgrade"))
        self._answered = asyncio.Event()
        self._sent = asyncio.Event()
        self.has_answer = False
        """Whether the client has got a part of the response."""
        self._tasks: tuple[asyncio.Task[None], asyncio.Task[Ending]] | None = None

    def begin(self) -> None:
        self._tasks = asyncio.create_task(self._pass_up()), asyncio.create_task(self._pass_down())

    async def answered(self) -> None:
        """Return once the head of the response has come, or never will."""
        await self._answered.wait()

    async def ended(self) -> Ending:
        """Raises Gone."""
        up, down = self._begun
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        if up.done() and not down.done():
            up.result()  # raises Gone if the client is gone
        # Otherwise, the engine takes no more of the request: it may have said why.
        return await down

    async def sent(self, seconds: float) -> bool:
        """Whether the client's request has been passed on to its end, within this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await first_of(asyncio.shield(self._begun[0]), self._sent.wait())
        return self._sent.is_set()

    async def close(self) -> None:
        for task in self._tasks or ():
            await end(task)

    @property
    def _begun(self) -> tuple[asyncio.Task[None], asyncio.Task[Ending]]:
        assert self._tasks is not None  # noqa: S101 - it has begun
        return self._tasks

    async def _pass_up(self) -> None:
        """Returns if the engine takes no more, and raises Gone if the client is gone."""
        try:
            await self._send_request()
        except Gone as gone:
            if gone.wire is self._engine:
                return
            raise
        self._sent.set()
        await self._watch_client()

    async def _send_request(self) -> None:
        head = self._engine.http.send(self._request) or b""
        if self._body is not None:
            body = [h11.Data(data=self._body)] if self._body else []
            rest = [self._engine.http.send(each) or b"" for each in (*body, h11.EndOfMessage())]
            await self._engine.write(b"".join((head, *rest)))
            return
        pending = [head]
        while True:
            event = self._client.next_in_body()
            match event:
                case h11.Data():
                    pending.append(self._engine.http.send(event) or b"")
                    continue
                case h11.EndOfMessage():
                    pending.append(self._engine.http.send(event) or b"")
            if pending:
                await self._engine.write(b"".join(pending))
                pending = []
            if isinstance(event, h11.EndOfMessage):
                return
            await self._client.receive()  # at its end, h11 notices that the body is cut off

    async def _watch_client(self) -> None:
        """Raise Gone when the client is gone. What it sends meanwhile is the next request."""
        ahead = 0
        while ahead < _MOST_AHEAD:
            received = await self._client.receive()
            if not received:
                await self._pass_end()
                break
            ahead += received
        await asyncio.Event().wait()

    async def _pass_end(self) -> None:
        """The client writes no more. If it reads no more either, it is gone: raise Gone."""
        if self._client.is_closed():
            raise Gone(self._client)
        if self._starts or self._upgrades:
            # The engine might give up what it has begun to start.
            await self._answered.wait()
        # Otherwise, there are requests or raw bytes that have not been passed on: the end follows.
        if not self._client.http.trailing_data[0]:
            self._engine.end_writing()

    async def _pass_down(self) -> Ending:
        try:
            return await self._receive_response()
        finally:
            self._answered.set()

    async def _receive_response(self) -> Ending:
        pending: list[bytes] = []
        while True:
            event = self._engine.next_in_body()
            match event:
                case h11.InformationalResponse(status_code=101):
                    self._answered.set()
                    await self._tell(self._switch(event))
                    return Ending.SWITCHED
                case h11.InformationalResponse():
                    await self._tell(
                        h11.InformationalResponse(
                            status_code=event.status_code,
                            headers=passed_on(event),
                            reason=event.reason,
                        )
                    )
                    continue
                case h11.Response():
                    self._answered.set()
                    await self._tell(self._response(event))
                    continue
                case h11.Data():
                    pending.append(event.data)
                    continue
            if pending:
                await self._client.send(h11.Data(data=b"".join(pending)))
                pending = []
            if isinstance(event, h11.EndOfMessage):
                await self._client.send(event)
                return Ending.COMPLETE
            if isinstance(event, h11.ConnectionClosed):
                raise Gone(self._engine)
            await self._engine.receive()  # at its end, h11 notices that the response is cut off

    async def _tell(self, event: h11.InformationalResponse | h11.Response) -> None:
        self.has_answer = self.has_answer or event.status_code >= 200 or event.status_code == 101
        await self._client.send(event)

    def _response(self, response: h11.Response) -> h11.Response:
        return h11.Response(
            status_code=response.status_code,
            headers=[*passed_on(response), *framing(response)],
            reason=response.reason,
        )

    def _switch(self, response: h11.InformationalResponse) -> h11.InformationalResponse:
        protocol = values(response, b"upgrade") or values(self._request, b"upgrade")
        return h11.InformationalResponse(
            status_code=101,
            headers=[*passed_on(response), *upgrade(protocol[0])],
            reason=response.reason,
        )
