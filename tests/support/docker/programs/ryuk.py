"""A stand-in for Ryuk, testcontainers' reaper, from its documented protocol. Runs in its image.

Who is connected sends filters, one set a line as a query ("label=a=b&label=c"), and reads ACK.
Once nobody has been connected for the reconnection timeout, what fits any set is removed through
the mounted socket: containers, networks, volumes, images.
"""

import asyncio
import http.client
import json
import os
import socket
from typing import Any
from urllib.parse import parse_qs, quote

PORT = int(os.environ.get("RYUK_PORT", "8080"))
SOCKET = "/var/run/docker.sock"


def seconds(name: str, default: float) -> float:
    """Only what testcontainers sets is understood: "10s"."""
    return float(os.environ.get(name, f"{default}s").removesuffix("s"))


class Engine(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)

    def ask(self, method: str, path: str) -> Any:
        self.request(method, path)
        response = self.getresponse()
        body = response.read()
        print(method, path, response.status, flush=True)
        return json.loads(body) if response.status == 200 and body else None


def remove(labels: list[str]) -> None:
    engine = Engine("engine")
    wanted = quote(json.dumps({"label": labels}))
    for row in engine.ask("GET", f"/containers/json?all=1&filters={wanted}") or []:
        engine.ask("DELETE", f"/containers/{row['Id']}?force=1&v=1")
    for row in engine.ask("GET", f"/networks?filters={wanted}") or []:
        engine.ask("DELETE", f"/networks/{row['Id']}")
    for row in (engine.ask("GET", f"/volumes?filters={wanted}") or {}).get("Volumes") or []:
        engine.ask("DELETE", f"/volumes/{row['Name']}?force=1")
    for row in engine.ask("GET", f"/images/json?filters={wanted}") or []:
        engine.ask("DELETE", f"/images/{row['Id']}?force=1")


class Ryuk:
    def __init__(self) -> None:
        self.filters: set[tuple[str, ...]] = set()
        self._connected = 0
        self._changed = asyncio.Condition()

    async def serve(self) -> None:
        server = await asyncio.start_server(self._connection, None, PORT)
        print("ryuk (stand-in) Started!", flush=True)
        async with server:
            await self._until(connected=True, timeout=seconds("RYUK_CONNECTION_TIMEOUT", 60))
            while True:
                await self._until(connected=False, timeout=None)
                again = seconds("RYUK_RECONNECTION_TIMEOUT", 10)
                if not await self._until(connected=True, timeout=again):
                    return

    async def _until(self, *, connected: bool, timeout: float | None) -> bool:
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: (self._connected > 0) is connected)
        except TimeoutError:
            return False
        return True

    async def _change(self, by: int) -> None:
        async with self._changed:
            self._connected += by
            self._changed.notify_all()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._change(1)
        try:
            while line := (await reader.readline()).decode().strip():
                self.filters.add(tuple(parse_qs(line)["label"]))
                writer.write(b"ACK\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            await self._change(-1)


if __name__ == "__main__":
    ryuk = Ryuk()
    asyncio.run(ryuk.serve())
    for found in ryuk.filters:
        remove(list(found))
