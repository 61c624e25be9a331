"""One side of a connection: its socket, and the HTTP that is spoken on it."""

import asyncio
import select
import socket
from contextlib import suppress
from typing import Final

import h11

from shared.errors import RunCancelError

# About what the kernel has in store for a Unix socket at most.
_MOST: Final = 256 * 1024


class Gone(RunCancelError):
    """The other end has closed the connection, or broke the protocol in the middle of a message."""

    def __init__(self, wire: "Wire") -> None:
        super().__init__("the connection is gone")
        self.wire = wire


class Wire:
    """A socket and its HTTP. At most one reads, and at most one writes, at any time.

    A read can be canceled, and loses nothing. There are no buffers of our own: who does not read
    keeps the other end from writing.
    """

    def __init__(
        self, connection: socket.socket, role: type[h11.CLIENT | h11.SERVER], head_size: int
    ) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.http = h11.Connection(role, max_incomplete_event_size=head_size)

    async def receive(self) -> int:
        """Read once, for h11; returns how much, and 0 at the end. Raises Gone."""
        data = await self.read()
        self.http.receive_data(data)
        return len(data)

    async def read(self) -> bytes:
        """Read once; empty at the end. Raises Gone."""
        while True:
            # First, as a connection that always has data must not keep others from their turn.
            await self._readable()
            try:
                return self.socket.recv(_MOST)
            except BlockingIOError:
                continue
            except OSError:
                raise Gone(self) from None

    async def send(self, *events: h11.Event) -> None:
        """Raises Gone."""
        await self.write(b"".join(self.http.send(event) or b"" for event in events))

    async def write(self, data: bytes) -> None:
        """Raises Gone."""
        try:
            await asyncio.get_running_loop().sock_sendall(self.socket, data)
        except OSError:
            raise Gone(self) from None

    def next_in_body(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event of a message that has begun. Raises Gone if it is not HTTP."""
        try:
            return self.http.next_event()
        except h11.RemoteProtocolError:
            raise Gone(self) from None

    def end_writing(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """End the connection both ways; whoever reads or writes notices."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def is_closed(self) -> bool:
        """Whether the other end reads no more either; it may have ended its writing alone."""
        poll = select.poll()
        poll.register(self.socket, 0)
        return bool(poll.poll(0))  # a hangup is always told

    def has_input(self) -> bool:
        """Whether there is something to read, if only the end."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    async def drain(self, seconds: float) -> None:
        """Receive and drop what the other end still sends, for a bounded time.

        Closed with unread input, a connection is reset before the other end has read the rest.
        """
        self.end_writing()
        with suppress(Gone, TimeoutError):
            async with asyncio.timeout(seconds):
                while await self.read():
                    pass

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self.socket, _tell, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self.socket)


def _tell(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
