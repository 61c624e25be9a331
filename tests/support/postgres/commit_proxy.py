"""Between a program and Postgres: lets transactions commit late, or without saying so."""

import asyncio
from contextlib import suppress

from yarl import URL


class CommitProxy:
    """Forwards a local port to Postgres at `url`; `proxied` is the URL that goes through it."""

    def __init__(self, url: str) -> None:
        self._target = URL(url)
        self._losing = False
        self._answers_flow = asyncio.Event()
        self._answers_flow.set()
        self._holding = False
        self._commits_flow = asyncio.Event()
        self.held = asyncio.Event()
        """Set once a COMMIT is held back."""
        self.transactions = 0
        """That were begun."""
        self._to_cut = 0
        self._to_cut_after = b""
        self._cutting: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @property
    def proxied(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return str(self._target.with_host("127.0.0.1").with_port(port))

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    def lose(self) -> None:
        """From the next COMMIT on, hold back all that the database says."""
        self._losing = True

    def hold(self) -> None:
        """Hold the next COMMITs back from the database, also when their sender is gone."""
        self._holding = True
        self._commits_flow.clear()

    def deliver(self) -> None:
        """Deliver what was held back, and go on."""
        self._losing = self._holding = False
        self._answers_flow.set()
        self._commits_flow.set()

    async def cut(self) -> None:
        """Drop every connection and what was held back for it; new ones are as good as any."""
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self.deliver()

    def cut_transactions(self, number: int, *, after: bytes) -> None:
        """Cut so many as they begin, once a statement with these words was sent."""
        self._to_cut, self._to_cut_after = number, after

    async def close(self) -> None:
        self._server.close()
        await self.cut()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # In a task of our own: a cancelled callback is logged by asyncio as an error.
        connection = asyncio.create_task(self._forward(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, upstream = await asyncio.open_connection(
            self._target.host, self._target.port or 5432
        )
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump_requests(reader, upstream))
                both.create_task(self._pump_answers(answers, writer))
        except* OSError:
            pass  # either side went away, and so does the other
        finally:
            upstream.transport.abort()
            writer.transport.abort()

    async def _pump_requests(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            self.transactions += data.count(b"BEGIN;")
            if self._to_cut_after in data:
                self._to_cut_after = b""
            if self._to_cut and not self._to_cut_after and b"BEGIN;" in data:
                self._to_cut -= 1
                self._cutting.add(asyncio.create_task(self.cut()))
                return
            if self._losing and b"COMMIT;" in data:
                self._answers_flow.clear()
            if self._holding and b"COMMIT;" in data:
                self.held.set()
                await self._commits_flow.wait()
            upstream.write(data)
            await upstream.drain()
        with suppress(OSError):
            upstream.write_eof()

    async def _pump_answers(
        self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await answers.read(65536):
            await self._answers_flow.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()
