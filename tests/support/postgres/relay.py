"""A way to Postgres that a test tampers with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from yarl import URL

Forward = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def relay(url: str, forward: Forward) -> AsyncIterator[str]:
    """The URL of a server that has `forward` serve each client."""
    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield str(URL(url).with_host("127.0.0.1").with_port(port))
    finally:
        server.close()


async def pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    changed: Callable[[bytes], bytes] = bytes,
) -> None:
    """Pass on what is read, as `changed` makes it, until the end."""
    while data := await reader.read(65536):
        writer.write(changed(data))
        await writer.drain()
