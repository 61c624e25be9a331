"""A socket before an engine, at which single calls to it can be held up or lost."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Between:
    """Passes all on, except requests whose first line matches what is to be held or lost."""

    def __init__(self, engine: Path, path: Path) -> None:
        self._engine = engine
        self.path = path
        self.held = asyncio.Event()
        """Set once a request is held up."""
        self._held: re.Pattern[bytes] | None = None
        self._lost: re.Pattern[bytes] | None = None
        self._lose = 0
        self._released = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def docker_host(self) -> str:
        return f"unix://{self.path}"

    def hold(self, request: str) -> None:
        """Keep requests like this, until they are released."""
        self._held = re.compile(request.encode())

    def release(self) -> None:
        """Pass on what was held, and hold no more."""
        self._held = None
        self._released.set()

    def lose(self, request: str, times: int = 1) -> None:
        """Close the connections of the next `times` requests like this, without an answer."""
        self._lost, self._lose = re.compile(request.encode()), times

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        up, out = await asyncio.open_unix_connection(str(self._engine))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_up(reader, out, writer))
                tasks.create_task(_pass(up, writer))
        except* OSError:
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            out.close()

    async def close(self) -> None:
        for task in list(self._connections):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _pass_up(
        self,
        reader: asyncio.StreamReader,
        out: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
    ) -> None:
        # The head of a request comes in one piece from all clients of these tests.
        while data := await reader.read(2**16):
            first, _, _ = data.partition(b"\r\n")
            if self._lose and self._lost is not None and self._lost.match(first):
                self._lose -= 1
                raise ConnectionAbortedError
            if self._held is not None and self._held.match(first):
                self.held.set()
                await self._released.wait()
            out.write(data)
            await out.drain()
        if out.can_write_eof():
            out.write_eof()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    raise ConnectionAbortedError  # ends the other direction, too


@asynccontextmanager
async def between(engine: Path, path: Path) -> AsyncIterator[Between]:
    passing = Between(engine, path)
    server = await asyncio.start_unix_server(passing.serve, str(path))
    try:
        yield passing
    finally:
        server.close()
        await passing.close()
