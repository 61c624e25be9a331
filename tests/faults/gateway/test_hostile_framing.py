"""What a proxy and we might read as different requests is refused, and so is too long a head.

By all who speak HTTP: the gateway, and the worker on its Unix socket and its monitoring port.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from yarl import URL

from tools.support.system import System

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]

SECOND: Final = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked"
REFUSED: Final = {
    "identity before": b"Transfer-Encoding: identity, chunked",
    "identity after": b"Transfer-Encoding: chunked, identity",
    "identity": b"Transfer-Encoding: identity",
    "gzip before": b"Transfer-Encoding: gzip, chunked",
    "twice": b"Transfer-Encoding: chunked, chunked",
    "empty before": b"Transfer-Encoding: ,chunked",
    "empty after": b"Transfer-Encoding: chunked,",
    "empty": b"Transfer-Encoding: ",
    "another": b"Transfer-Encoding: xchunked",
    "quoted": b'Transfer-Encoding: "chunked"',
    "with a parameter": b"Transfer-Encoding: chunked;q=1",
    "vertical tab": b"Transfer-Encoding: \x0bchunked",
    "no-break space": b"Transfer-Encoding: \xa0chunked",
    "Kelvin's k": "Transfer-Encoding: chun\u212aed".encode(),
    "two headers": CHUNKED + b"\r\n" + CHUNKED,
    "two headers, one identity": b"Transfer-Encoding: identity\r\n" + CHUNKED,
    "upper case": b"TRANSFER-ENCODING: IDENTITY, CHUNKED",
    "tabs": b"Transfer-Encoding:\tidentity\t,\tchunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "folded after identity": b"Transfer-Encoding: identity,\r\n\tchunked",
    "space before the colon": b"Transfer-Encoding : chunked",
    "a length before": b"Content-Length: 3\r\n" + CHUNKED,
    "a length after": CHUNKED + b"\r\nContent-Length: 3",
}
TAKEN: Final = {
    "as usual": CHUNKED,
    "upper case": b"TRANSFER-ENCODING: CHUNKED",
    "a tab": b"Transfer-Encoding:\tchunked",
}


@pytest.fixture(params=["gateway", "worker socket", "worker monitoring"])
async def connect(request: pytest.FixtureRequest, system: System) -> Connect:
    if request.param == "gateway":
        url = URL(await system.gateway())
    else:
        worker = await system.worker()
        if request.param == "worker socket":
            return lambda: asyncio.open_unix_connection(system.socket())
        url = URL((await worker.event("worker_ready"))["http"])
    return lambda: asyncio.open_connection(url.host, url.port)


async def test_bodies_are_framed_in_one_plain_way_or_the_connection_ends(connect: Connect) -> None:
    for name, header in REFUSED.items():
        answers = await _answers(connect, b"HTTP/1.1", header, SECOND)
        assert [status for status, _ in answers] == [400], (name, answers)
        _assert_envelope(answers[0][1])
    # Of which HTTP/1.0 knows nothing.
    assert [it[0] for it in await _answers(connect, b"HTTP/1.0", CHUNKED, b"")] == [400]
    for name, header in TAKEN.items():
        answers = await _answers(connect, b"HTTP/1.1", header, SECOND)
        assert [status for status, _ in answers] == [404, 404], (name, answers)


@pytest.mark.parametrize("pieces", [1, 2, 70])
async def test_a_head_beyond_64_kib_is_431_however_it_comes(connect: Connect, pieces: int) -> None:
    head = b"GET /x HTTP/1.1\r\nHost: x\r\n" + b"".join(
        b"X-%d: %s\r\n" % (number, b"a" * 7000) for number in range(10)
    )
    long = head + b"Connection: close\r\n\r\n"
    short = long.replace(b"a" * 7000, b"a" * 6000)

    (answer,) = await _exchange(connect, long, pieces)
    assert answer[0] == 431
    _assert_envelope(answer[1])
    assert [it[0] for it in await _exchange(connect, short, pieces)] == [404]


async def _answers(
    connect: Connect, version: bytes, header: bytes, behind: bytes
) -> list[tuple[int, Any]]:
    """To a request with that header and an empty body in chunks, and what comes behind it."""
    head = b"POST /x " + version + b"\r\nHost: x\r\n" + header + b"\r\n\r\n"
    return await _exchange(connect, head + b"0\r\n\r\n" + behind)


async def _exchange(connect: Connect, sent: bytes, pieces: int = 1) -> list[tuple[int, Any]]:
    """The answers up to the end of the connection: their status and body."""
    reader, writer = await connect()
    size = -(-len(sent) // pieces)
    try:
        async with asyncio.timeout(10):
            for start in range(0, len(sent), size):
                writer.write(sent[start : start + size])
                await asyncio.sleep(0.001 if pieces > 1 else 0)  # a piece by itself, most likely
            received = b""
            try:
                while chunk := await reader.read(65536):
                    received += chunk
            except ConnectionError:
                pass
    finally:
        writer.transport.abort()
    return list(_parsed(received))


def _parsed(stream: bytes) -> list[tuple[int, Any]]:
    answers = []
    while stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        body = rest[:length]
        is_json = b"json" in fields[b"content-type"]
        answers.append((int(head.split()[1]), json.loads(body) if is_json else body))
        stream = rest[length:]
    return answers


def _assert_envelope(body: Any) -> None:
    assert isinstance(body, dict)
    assert set(body) in ({"code", "message", "details"}, {"error"})
