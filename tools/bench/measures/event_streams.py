"""A thousand readers of GET /events at one gateway: their memory, and the delay to the last."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import median
from time import perf_counter
from typing import Final

import aio_pika

from tools.bench.output.results import Bar, Results, compared
from tools.bench.pace import REST
from tools.bench.programs import DEADLINE
from tools.bench.system import BenchSystem
from tools.errors import ToolError

READERS: Final = 1_000
_EACH: Final = 20
"""Events of a round, one after the other."""
_ENVIRONMENT: Final = {
    # At most half of the connections may be streams, and all readers have one address.
    "CANCEL_MAX_CONNECTIONS": str(READERS * 3),
    "CANCEL_MAX_CONNECTIONS_PER_ADDRESS": str(READERS * 3),
}
_ID: Final = re.compile(rb"^id: ?(\d+)\r?$", re.MULTILINE)


class _Readers:
    """Knows when all of them have had an event."""

    def __init__(self) -> None:
        self._left = 0
        self._number = 0
        self._all_have_it: asyncio.Future[float]

    def expect(self, number: int, readers: int) -> "asyncio.Future[float]":
        """When the last of `readers` got event `number`, by perf_counter."""
        self._number, self._left = number, readers
        self._all_have_it = asyncio.get_running_loop().create_future()
        return self._all_have_it

    def got(self, number: int) -> None:
        if number == self._number:
            self._left -= 1
            if not self._left:
                self._all_have_it.set_result(perf_counter())


class _Reader(asyncio.Protocol):
    def __init__(self, readers: _Readers) -> None:
        self._readers = readers
        self._rest = b""
        self.transport: asyncio.BaseTransport
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self.status.done():
            if b"\r\n\r\n" not in data:
                self._rest = data
                return
            self.status.set_result(int(data[9:12]))
        whole, end, self._rest = data.rpartition(b"\n")
        for number in _ID.findall(whole + end):
            self._readers.got(int(number))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(ToolError("the gateway closed an event stream"))


class EventStreams:
    def __init__(self, system: BenchSystem) -> None:
        self._system = system
        self._token = ""
        self._number = 0

    async def measure(self, results: Results, rounds: int) -> None:
        self._token = await self._system.token()
        each_kb, last, one = [], [], []
        for _ in range(rounds):
            gateway = await self._system.start_gateway(_ENVIRONMENT)
            async with self._reading(1) as readers:
                await gateway.at_rest()
                before = gateway.pss_mb()
                one.append(median([await self._event(readers, 1) for _ in range(_EACH)]))
            async with self._reading(READERS) as readers:
                await gateway.at_rest()
                each_kb.append((gateway.pss_mb() - before) * 1024 / READERS)
                last.append(median([await self._event(readers, READERS) for _ in range(_EACH)]))
            await gateway.stop()
        results.rows.append(
            compared(
                "stream_memory",
                f"memory of a gateway for each of {READERS:,} event streams (PSS)",
                "kB",
                Bar(),
                each_kb,
            )
        )
        results.rows.append(
            compared(
                "stream_delay",
                f"event published → the last of {READERS:,} readers has it, p50",
                "ms",
                Bar(),
                last,
                "a reader alone",
                one,
            )
        )

    @asynccontextmanager
    async def _reading(self, number: int) -> AsyncIterator[_Readers]:
        """So many streams, each answered with 200."""
        readers = _Readers()
        request = (
            b"GET /api/v1/events HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n"
            b"Authorization: Bearer %s\r\n\r\n" % self._token.encode()
        )
        loop = asyncio.get_running_loop()
        opened: list[_Reader] = []
        try:
            for _ in range(number):
                transport, reader = await loop.create_connection(
                    lambda: _Reader(readers), "127.0.0.1", self._system.port
                )
                opened.append(reader)
                transport.write(request)
                async with asyncio.timeout(DEADLINE):
                    if (status := await reader.status) != 200:
                        raise ToolError(f"the gateway answered GET /api/v1/events with {status}")
            yield readers
        finally:
            for reader in opened:
                reader.transport.close()

    async def _event(self, readers: _Readers, number: int) -> float:
        """Milliseconds from the publish until `number` readers have the event."""
        self._number += 1
        exchange = await self._system.channel.get_exchange(
            self._system.topology.events, ensure=False
        )
        received = readers.expect(self._number, number)
        await asyncio.sleep(REST)  # the gateway has nothing else to do
        began = perf_counter()
        await exchange.publish(_event(self._number), "run.started", mandatory=True)
        async with asyncio.timeout(DEADLINE):
            return (await received - began) * 1000


def _event(number: int) -> aio_pika.Message:
    """As the relay publishes it."""
    kind = "ci.run.started.v1"
    body = {
        "specversion": "1.0",
        "id": str(number),
        "source": "/run-cancel",
        "type": kind,
        "subject": str(number),
        "time": datetime.now(UTC).isoformat(),
        "sequence": f"{number:020}",
        "datacontenttype": "application/json",
        "data": {"run_id": number, "host": "bench"},
    }
    return aio_pika.Message(
        json.dumps(body).encode(),
        content_type="application/cloudevents+json",
        message_id=str(number),
        type=kind,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
