"""At the gateway, who opens connections without end takes no place from who asks for something."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Final

import pytest
from yarl import URL

from tests.support.network import flood
from tools.support.program import DEADLINE
from tools.support.system import System
from tools.support.waiting import eventually

SOURCE: Final = Path(flood.__file__).read_text()
RENEWED: Final = 1.5  # seconds, how often a flood opens all of its connections anew
SECONDS: Final = 2 * RENEWED + 1

Start = Callable[..., Awaitable[None]]


@pytest.fixture
async def start_flood() -> AsyncIterator[Start]:
    """Starts a flood: its kind, how many connections, how often renewed, and the address."""
    started: list[asyncio.subprocess.Process] = []

    async def start(*arguments: object) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-S", "-c", SOURCE, *map(str, arguments)),
            stdout=asyncio.subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            assert await process.stdout.readline() == b"ready\n"

    yield start
    for process in started:
        process.kill()
        await process.wait()


class Tally:
    """Requests on a connection each, one after the other, and how they went."""

    def __init__(self) -> None:
        self.statuses: list[int | None] = []  # None: no answer
        self.took: list[float] = []

    def __str__(self) -> str:
        answered = sum(status is not None for status in self.statuses)
        ok = sum(status in (200, 202) for status in self.statuses)
        return f"{ok} ok and {answered} answered of {len(self.statuses)}, {max(self.took):.3f} s"

    async def ask(self, url: URL, request: bytes, seconds: float) -> None:
        end = monotonic() + seconds
        while monotonic() < end:
            start = monotonic()
            self.statuses.append(await _ask(url, request))
            self.took.append(monotonic() - start)
            await asyncio.sleep(0.03)  # the pace of honest callers


async def _ask(url: URL, request: bytes, address: str = "127.0.0.1") -> int | None:
    writer = None
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(
                url.host, url.port, local_addr=(address, 0)
            )
            writer.write(request)
            return int((await reader.readline()).split()[1])
    except (OSError, TimeoutError, IndexError):
        return None
    finally:
        if writer is not None:
            writer.transport.abort()


@pytest.mark.alone  # to serve a thousand connections opened in one moment takes the processor
@pytest.mark.parametrize("kind", ["silent", "drip", "idle", "body", "unread"])
async def test_honest_requests_and_health_checks_get_through_a_flood_at_the_gateway(
    system: System, start_flood: Start, kind: str
) -> None:
    number = 20 if kind == "unread" else 1000  # those ask for megabytes
    await system.add_run(1)
    url = URL(await system.gateway(max_connections=number))
    token = await system.token()
    await start_flood(kind, number, RENEWED, url.host, url.port)
    honest, health = Tally(), Tally()
    cancel = f"POST /api/v1/runs/1/cancel HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"

    await asyncio.gather(
        honest.ask(url, (cancel + "\r\n").encode(), SECONDS),
        health.ask(url, HEALTH, SECONDS),
    )

    print(f"{kind}: cancels {honest}; health {health}")
    assert set(honest.statuses) == {202}, honest
    assert set(health.statuses) == {200}, health
    assert max(honest.took) < 1
    assert max(health.took) < 1


WAITING: Final = (
    "GET /api/v1/runs/1?wait=30 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n"
)
HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def _waiting(url: URL, token: str, number: int, address: str) -> list[asyncio.StreamWriter]:
    """Connections from `address` that wait for a run, by their second request."""
    writers = []
    for _ in range(number):
        reader, writer = await asyncio.open_connection(url.host, url.port, local_addr=(address, 0))
        writer.write(HEALTH)
        await reader.readuntil(b"}\n")
        writer.write(WAITING.format(token).encode())
        writers.append(writer)
    return writers


async def test_one_address_does_not_get_all_places_and_health_checks_are_answered_beyond_them(
    system: System,
) -> None:
    await system.add_run(1)
    url = URL(await system.gateway(max_connections=30, max_connections_per_address=20))
    token = await system.token()
    status = f"GET /api/v1/runs/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    ask = status.encode()
    opened = await _waiting(url, token, 20, "127.0.0.2")
    try:
        await _until(lambda: _ask(url, ask, "127.0.0.2"), 503)  # all of its own are taken
        assert await _ask(url, ask, "127.0.0.1") == 200

        opened += await _waiting(url, token, 10, "127.0.0.3")
        await _until(lambda: _ask(url, ask, "127.0.0.1"), 503)
        assert await _ask(url, HEALTH, "127.0.0.1") == 200
        assert await _ask(url, HEALTH, "127.0.0.2") == 200

        # The few places beyond are given to whoever asks, too.
        opened += [(await asyncio.open_connection(url.host, url.port))[1] for _ in range(300)]
        assert await _ask(url, HEALTH, "127.0.0.1") == 200
        assert await _ask(url, ask, "127.0.0.1") == 503
        opened.pop(0).transport.abort()
        await _until(lambda: _ask(url, ask, "127.0.0.1"), 200)
    finally:
        for writer in opened:
            writer.transport.abort()


async def test_a_trusted_proxy_may_take_all_places(system: System) -> None:
    await system.add_run(1)
    limits = {"max_connections": 20, "max_connections_per_address": 5}
    url = URL(await system.gateway(**limits, trusted_proxies="127.0.0.2"))
    opened = await _waiting(url, await system.token(), 19, "127.0.0.2")
    try:
        for _ in range(10):
            assert await _ask(url, flood.DOCUMENT, "127.0.0.2") == 200
    finally:
        for writer in opened:
            writer.transport.abort()


async def test_clients_that_do_not_read_their_responses_make_way(
    system: System, start_flood: Start
) -> None:
    url = URL(await system.gateway(max_connections=5))
    await start_flood("unread", 5, 100, url.host, url.port)
    before = None
    while not before or before != _unsent(url):  # until the kernel takes no more
        before = _unsent(url)
        await asyncio.sleep(0.3)  # between two looks at what the kernel has taken

    assert await _ask(url, flood.DOCUMENT) == 200


def _unsent(url: URL) -> int:
    """Bytes that the gateway has sent and no client has taken."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # proc(5): 1 is the local address, 4 what is queued for sending and for reading.
    return sum(
        int(row[4].partition(":")[0], 16) for row in rows if row[1].endswith(f":{url.port:04X}")
    )


async def _until(ask: Callable[[], Awaitable[int | None]], status: int) -> None:
    await eventually(ask, lambda answer: answer == status)
