"""The one load generator: raw HTTP/1.1 on kept connections, requests prepared, answers skimmed.

A client library would take as much of the second core as the gateway takes of the first, and so
would be what is measured.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from time import perf_counter

from tools.bench.pace import ticks
from tools.bench.programs import DEADLINE
from tools.errors import ToolError

_BODY = b'{"reason":"superseded by a newer commit"}'
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"Content-Length: "

Answered = Callable[["Connection", int], None]


def requests(token: str, run_ids: Sequence[int]) -> list[bytes]:
    """A cancel request for each run, as bytes."""
    return [request(f"/api/v1/runs/{run_id}/cancel", token, _BODY) for run_id in run_ids]


def request(path: str, token: str, body: bytes) -> bytes:
    """A POST of JSON, as bytes."""
    return (
        b"POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (path.encode(), token.encode(), len(body), body)
    )


class Connection(asyncio.Protocol):
    """Sends one request at a time and tells the status of its answer."""

    def __init__(self, answered: Answered) -> None:
        self._answered = answered
        self._transport: asyncio.WriteTransport
        self._received = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is one as well

    def send(self, request: bytes) -> None:
        self.sent_at = perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        if _is_whole(data):
            self._received = b""
            self._answered(self, int(data[9:12]))
        else:
            self._received = data

    def close(self) -> None:
        self._transport.close()


def _is_whole(data: bytes) -> bool:
    end = data.find(_END_OF_HEAD)
    if end < 0:
        return False
    at = data.find(_LENGTH, 0, end) + len(_LENGTH)
    return len(data) >= end + len(_END_OF_HEAD) + int(data[at : data.index(b"\r", at)])


@asynccontextmanager
async def connected(port: int, count: int, answered: Answered) -> AsyncIterator[list[Connection]]:
    loop = asyncio.get_running_loop()
    opened = []
    try:
        for _ in range(count):
            _, connection = await loop.create_connection(
                lambda: Connection(answered), "127.0.0.1", port
            )
            opened.append(connection)
        yield opened
    finally:
        for connection in opened:
            connection.close()


async def closed_loop(
    port: int, wanted: Sequence[bytes], connections: int, warm: float, seconds: float
) -> float:
    """Accepts per second, each connection sending as soon as it was answered."""
    load = _ClosedLoop(cycle(wanted))
    async with connected(port, connections, load.answered) as opened:
        for connection in opened:
            load.send(connection)
        # The two lengths of time that are measured over; nothing is waited for.
        await asyncio.sleep(warm)
        began, before = perf_counter(), load.accepted
        await asyncio.sleep(seconds)
        rate = (load.accepted - before) / (perf_counter() - began)
        load.ending = True
        async with asyncio.timeout(DEADLINE):
            await load.idle.wait()
    load.require_accepted()
    return rate


async def all_of(port: int, wanted: Sequence[bytes], connections: int) -> None:
    """Send each once."""
    left = iter(wanted)

    async def work() -> None:
        async with Caller(port).ready() as caller:
            for request in left:
                if (status := await caller.send(request)[1]) != 202:
                    raise ToolError(f"the gateway answered {status}")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(work())


class _ClosedLoop:
    def __init__(self, wanted: Iterator[bytes]) -> None:
        self._wanted = wanted
        self._in_flight = 0
        self._others: set[int] = set()
        self.accepted = 0
        self.ending = False
        self.idle = asyncio.Event()

    def send(self, connection: Connection) -> None:
        self._in_flight += 1
        connection.send(next(self._wanted))

    def answered(self, connection: Connection, status: int) -> None:
        self._in_flight -= 1
        if status == 202:
            self.accepted += 1
        else:
            self._others.add(status)
        if not self.ending:
            self.send(connection)
        elif not self._in_flight:
            self.idle.set()

    def require_accepted(self) -> None:
        if self._others:
            raise ToolError(f"the gateway answered {sorted(self._others)}")


async def open_loop(
    port: int, wanted: Sequence[bytes], connections: int, rate: float, seconds: float
) -> list[float]:
    """Latencies in ms of requests that come `rate` times a second, whatever is answered.

    Who finds all connections busy has waited from when it was due.
    """
    load = _OpenLoop(connections)
    source = cycle(wanted)
    async with connected(port, connections, load.answered) as opened:
        load.free.extend(opened)
        async for number in ticks(rate, seconds):
            for _ in range(number):
                load.offer(next(source))
        load.end()
        async with asyncio.timeout(DEADLINE):
            await load.idle.wait()
    if load.others:
        raise ToolError(f"the gateway answered {sorted(load.others)}")
    return load.latencies


class _OpenLoop:
    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._ending = False
        self.idle = asyncio.Event()
        self.free: deque[Connection] = deque()
        self._due_at: dict[Connection, float] = {}
        self._waiting: deque[tuple[float, bytes]] = deque()
        self.latencies: list[float] = []
        self.others: set[int] = set()

    def end(self) -> None:
        """Nothing more is offered: `idle` is set with the last answer."""
        self._ending = True
        self._look_whether_idle()

    def offer(self, request: bytes) -> None:
        if self.free:
            self._send(self.free.popleft(), perf_counter(), request)
        else:
            self._waiting.append((perf_counter(), request))

    def answered(self, connection: Connection, status: int) -> None:
        self.latencies.append((perf_counter() - self._due_at[connection]) * 1000)
        if status != 202:
            self.others.add(status)
        if self._waiting:
            self._send(connection, *self._waiting.popleft())
        else:
            self.free.append(connection)
            self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        if self._ending and len(self.free) == self._connections:
            self.idle.set()

    def _send(self, connection: Connection, due_at: float, request: bytes) -> None:
        self._due_at[connection] = due_at
        connection.send(request)


class Caller:
    """One connection, one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._answer: asyncio.Future[int]

    @asynccontextmanager
    async def ready(self) -> AsyncIterator["Caller"]:
        async with connected(self._port, 1, self._answered) as [self._connection]:
            yield self

    def send(self, request: bytes) -> "tuple[float, asyncio.Future[int]]":
        """When it was sent, by perf_counter, and its status to come."""
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.send(request)
        return self._connection.sent_at, self._answer

    def _answered(self, _: Connection, status: int) -> None:
        self._answer.set_result(status)
