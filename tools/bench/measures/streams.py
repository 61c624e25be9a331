"""What 1,000 event streams cost a gateway, and how late an event reaches the last of them."""

import asyncio
import json
from time import monotonic
from typing import Final

import aio_pika

from gateway.schemas import API
from shared.events import EventType
from shared.lifecycle import allow_many_files
from tools.bench.output.results import Bar, Results, compared
from tools.bench.system import BenchSystem

_STREAMS: Final = 1000
_TOGETHER: Final = 100
_EVENTS: Final = 20
_WARM: Final = 20

_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Streams:
    def __init__(self, system: BenchSystem) -> None:
        self._system = system

    async def measure(self, results: Results, rounds: int) -> None:
        allow_many_files()
        token = await self._system.token()
        most = str(3 * _STREAMS)
        memory, delays = [], []
        for number in range(rounds):
            gateway = await self._system.start_gateway(
                {"CANCEL_MAX_CONNECTIONS": most, "CANCEL_MAX_CONNECTIONS_PER_ADDRESS": most}
            )
            await gateway.event("events_subscribed")
            streams = [await self._open(token) for _ in range(_WARM)]
            await gateway.at_rest()
            before = gateway.pss_mb()
            for _ in range(_STREAMS // _TOGETHER):
                streams += await asyncio.gather(*(self._open(token) for _ in range(_TOGETHER)))
            await gateway.at_rest()
            memory.append((gateway.pss_mb() - before) * 1024 / _STREAMS)
            delays += [
                await self._delay(streams, f"{number}-{each}") * 1000 for each in range(_EVENTS)
            ]
            for _, writer in streams:
                writer.transport.abort()
            await gateway.stop()
        results.rows += [
            compared("stream_memory", "memory of an event stream (PSS)", "KB", Bar(), memory),
            compared(
                "stream_delay", f"event to the last of {_STREAMS:,} streams", "ms", Bar(), delays
            ),
        ]

    async def _open(self, token: str) -> _Stream:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._system.port)
        head = f"GET {API}/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"\nid: ")  # where the stream begins
        return reader, writer

    async def _delay(self, streams: list[_Stream], event_id: str) -> float:
        """Seconds from the publish of an event until the last stream has it."""
        event = {"id": event_id, "type": EventType.RUN_FINISHED.cloud_type, "subject": "1"}
        wanted = json.dumps(event).encode()
        waiting = [asyncio.create_task(reader.readuntil(wanted)) for reader, _ in streams]
        await asyncio.sleep(0)  # they begin to read
        exchange = await self._system.channel.get_exchange(
            self._system.topology.events, ensure=False
        )
        began = monotonic()
        await exchange.publish(aio_pika.Message(wanted), "run.finished", mandatory=False)
        await asyncio.gather(*waiting)
        return monotonic() - began
