"""A network between a program and a service, to be stalled, slowed, cut, and brought up late."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from yarl import URL

_DEFAULT_PORTS = {"postgresql": 5432, "amqp": 5672}


class TcpProxy:
    """Forwards a local port to the service at `url`; `proxied` is the URL that goes through it.

    With `others`, the nodes of a cluster, it is a balancer: a new connection goes to the first
    node that accepts it.
    """

    def __init__(self, url: str, *others: str) -> None:
        self._targets = [URL(url), *map(URL, others)]
        # Bound but not listening: the port is ours, and connections to it are refused.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._answers_flow = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._refusing = False
        self._delay = 0.0
        self.bursts = 0
        """How often the program sent something: its round trips, if it waits for each answer."""
        self.on_answer: Callable[[bytes], None] = lambda _: None
        """Told what the service says, as it is passed on."""
        self.resume()

    @property
    def proxied(self) -> str:
        return str(self._targets[0].with_host("127.0.0.1").with_port(self.port))

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def prefer(self, url: str) -> None:
        """Try this node first from now on; connections that are there stay where they are."""
        self._targets.sort(key=lambda target: target != URL(url))

    async def listen(self) -> None:
        """Accept connections from now on."""
        self._server = await asyncio.start_server(self._connected, sock=self._socket)

    def stall(self) -> None:
        """Deliver nothing more, in either direction, while every connection stays open."""
        self._flowing.clear()
        self._answers_flow.clear()

    def stall_answers(self) -> None:
        """Deliver what the program sends, but nothing that the service says."""
        self._answers_flow.clear()

    def slow(self, delay: float) -> None:
        """Deliver whatever comes `delay` seconds late, in either direction, one by one."""
        self._delay = delay

    def resume(self) -> None:
        """Deliver all that was held back, and go on at full speed."""
        self._delay = 0.0
        self._flowing.set()
        self._answers_flow.set()

    def refuse(self) -> None:
        """Drop every new connection at once."""
        self._refusing = True

    def accept(self) -> None:
        self._refusing = False

    async def cut(self) -> None:
        """Drop every connection there is."""
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.cut()
        self._socket.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # In a task of our own: a cancelled callback is logged by asyncio as an error.
        connection = asyncio.create_task(self._forward(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        try:
            if self._refusing:
                return
            answers, upstream = await self._open()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump_requests(reader, upstream))
                both.create_task(self._pump_answers(answers, writer))
        except* OSError:
            pass  # either side went away, and so does the other
        finally:
            for side in (writer, upstream):
                if side is not None:
                    side.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        *targets, last = self._targets
        for target in targets:
            with suppress(OSError):
                return await _open(target)
        return await _open(last)

    async def passes(self, request: bytes) -> bool:
        """Whether what the program sends is passed on, once this returns; if not, nothing more."""
        return True

    async def _pump_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            self.bursts += 1
            if not await self.passes(data):
                return
            await self._deliver(data, writer, self._flowing)
        _end(writer)

    async def _pump_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            self.on_answer(data)
            await self._deliver(data, writer, self._answers_flow)
        _end(writer)

    async def _deliver(
        self, data: bytes, writer: asyncio.StreamWriter, flow: asyncio.Event
    ) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        await flow.wait()
        writer.write(data)
        await writer.drain()


def _end(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.write_eof()


async def _open(target: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(target.host, target.port or _DEFAULT_PORTS[target.scheme])
