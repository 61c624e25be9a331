"""What may listen where a service is expected, and is not that service."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

_HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nno"


async def _hangs_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass
    writer.close()


async def _speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(_HTTP)
    await writer.drain()
    writer.close()


@asynccontextmanager
async def wrong_services(
    certificate: ssl.SSLContext | None = None,
) -> AsyncIterator[dict[str, int]]:
    """Their ports on 127.0.0.1, by what they do; `tls` if there is a certificate."""
    kinds = {"hangs up": _hangs_up, "silent": _says_nothing, "http": _speaks_http}
    async with AsyncExitStack() as stack:
        ports = {}
        for name, answer in kinds.items():
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            ports[name] = server.sockets[0].getsockname()[1]
            stack.callback(server.close)
        if certificate is not None:
            server = await asyncio.start_server(_says_nothing, "127.0.0.1", 0, ssl=certificate)
            ports["tls"] = server.sockets[0].getsockname()[1]
            stack.callback(server.close)
        yield ports
