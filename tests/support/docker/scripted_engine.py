"""Speaks for a Docker engine where a test needs faults, or what no engine says on demand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

_LIMIT: Final = 4 * 1024 * 1024  # bytes, of a head


class EngineSide:
    """One connection, as the engine sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        """The next request head; empty if there is none."""
        try:
            return await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            assert not error.partial
            return b""

    async def say(self, text: bytes) -> None:
        self.writer.write(text)
        await self.writer.drain()

    async def answer(self, body: bytes = b"", status: str = "200 OK") -> None:
        length = len(body)
        await self.say(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status.encode(), length))
        await self.say(body)


Script = Callable[[EngineSide], Awaitable[None]]


class ScriptedEngine:
    def __init__(self, path: Path, script: Script) -> None:
        self.path = path
        self.connections = 0
        self._script = script
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(
            self._serve, self.path, limit=4 * 1024 * 1024
        )

    async def stop(self) -> None:
        """Close all connections and be gone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            with suppress(ConnectionError):
                await self._script(EngineSide(reader, writer))
        finally:
            self._open.discard(writer)
            writer.close()


@asynccontextmanager
async def scripted(directory: Path, script: Script) -> AsyncIterator[ScriptedEngine]:
    engine = ScriptedEngine(directory / "engine.sock", script)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()
