"""Hostile requests of all kinds: each is good but for one part of it, or two.

Not drawn by hypothesis: it takes constants from all modules that are loaded, so what it draws, and
how many of which kind, depends on the tests that ran before.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Final, TypeAlias

Bytes: TypeAlias = Callable[[Random], bytes]
"""Draws a part of a request."""

TOKEN: Final = b"<token>"
PLAIN_USER: Final = b"<token of a plain user>"
RUN: Final = 1
OVER: Final = 2
"""A run that is over: no `?wait=` of it takes any time."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """What is sent, where it is cut in two, and what follows: "wait", "close" or "reset"."""

    data: bytes
    cut: int = 0
    ending: str = "wait"


def _of(*choices: str | bytes) -> Bytes:
    encoded = [it if isinstance(it, bytes) else it.encode() for it in choices]
    return lambda random: random.choice(encoded)


def _one_of(*parts: Bytes) -> Bytes:
    return lambda random: random.choice(parts)(random)


def _in(template: bytes, part: Bytes) -> Bytes:
    return lambda random: template % part(random)


def _junk(random: Random) -> bytes:
    return random.randbytes(random.randrange(41))


def _number(random: Random) -> bytes:
    near = 2 ** random.choice((31, 32, 63, 64)) + random.randint(-2, 2)
    some = random.choice((-1, 1)) * random.getrandbits(random.choice((1, 8, 30, 130)))
    large = 10 ** random.choice((20, 400, 999, 1000, 4000))
    return b"%d" % random.choice((near, some, large))


def _text(random: Random, least: int, most: int) -> str:
    """Of ASCII and of any other characters, without surrogates: they have no UTF-8."""
    planes = ((0x00, 0x7F), (0x80, 0xD7FF), (0xE000, 0x10FFFF))
    length = random.randint(least, most)
    return "".join(chr(random.randint(*random.choice(planes))) for _ in range(length))


def _reason(random: Random) -> bytes:
    return json.dumps({"reason": _text(random, 250, 260)}).encode()


def _object(random: Random) -> bytes:
    def value() -> object:
        number = random.choice((random.getrandbits(70), random.gauss(), float("nan"), float("inf")))
        return random.choice((_text(random, 0, 20), number))

    return json.dumps({_text(random, 0, 9): value() for _ in range(random.randrange(4))}).encode()


def _many_pieces(random: Random) -> bytes:
    return b"/".join(_one_of(PIECES, _junk)(random) for _ in range(random.randrange(6)))


# Digits, also of other scripts, that are not all numbers to Python: it reads at most 4300 of them.
DIGITS: Final = _of("%C2%B2", "%D9%A1", "%EF%BC%91", "%31", "\u0661", "0", "-0", "1_0", "1" * 5000)
PIECES: Final = _of(
    *("%00", "%0d%0a", "%ff", "%2e%2e", "%2F", "%", "%zz", "%u0031", "\x7f"),
    *("..", "//", ";a=b", "?", "#", "&", "=", "+", "1e999", "nan", "\\", "\0", TOKEN),
)
RUN_IDS: Final = _one_of(DIGITS, _number, PIECES, _junk)

METHODS: Final = _one_of(
    _of("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"),
    _of("PRI", "post", "", "\0", "PROPFIND"),
    _junk,
)
PATHS: Final = _one_of(
    _in(b"/api/v1/runs/%b/cancel", RUN_IDS),
    _in(b"/api/v1/runs/%b", RUN_IDS),
    _in(
        b"/api/v1/runs/%d?wait=%%b" % OVER,
        _one_of(_number, PIECES, _of("0.1", "", "30", "30.5", "-1", "1e-9", "0x1")),
    ),
    _of("*", "/", "", "/healthz", "/api/v1", "/api/v1/runs/1/cancel/", "//[", "/" + "a" * 9000),
    _of("http://[::1/", "http://x:99999/", "x:80", "ftp://x/api/v1/runs/1", "/api/v1/docs/x"),
    _of("http://else.where/api/v1/runs/1/cancel", "/api/v1/docs", "/api/v1/docs/favicon-32x32.png"),
    _many_pieces,
)
VERSIONS: Final = _one_of(
    _of("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/1", "ICY", ""), _junk
)
AUTHORIZATION: Final = _of(
    b"Authorization: Bearer " + PLAIN_USER,
    *(b"X: none", b"Authorization: Bearer", b"Authorization: Basic " + TOKEN, b"Authorization"),
    *(b"Authorization:" + TOKEN, b"Authorization: Bearer \xff\xfe", b"authorization: bearer x"),
    b"Authorization: Bearer " + TOKEN + b"\r\nAuthorization: Bearer x",
)
HEADERS: Final = _one_of(
    _of("Content-Type: text/plain", "Content-Type: ;;/", b"Content-Type: \xff/\xff; charset=\xff"),
    _of("Content-Type: application/json; charset=utf-16", "Content-Type: x\r\nContent-Type: y"),
    _of("Content-Encoding: gzip", "Content-Encoding: deflate", "Content-Encoding: br, br"),
    _of("Content-Length: 2", "Content-Length: -1", "Content-Length: +2", "Content-Length: 2, 2"),
    _in(b"Content-Length: %b", _number),
    _of("Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "transfer-encoding : chunked"),
    _of("Expect: 100-continue", "Expect: 200-ok", "Connection: close", "Connection: keep-alive"),
    _of("Connection: upgrade\r\nUpgrade: websocket", "Connection: Upgrade\r\nUpgrade: h2c"),
    _of("Host: [::", "Host: a\r\nHost: b", "Range: bytes=9-1", "If-None-Match: x", "Cookie: =;\t"),
    _of(b"X-Request-Id: " + TOKEN, b"X-Request-Id: \xff", "X-Request-Id: a\r\n b", " folded"),
    _of('X-Forwarded-For: ::1%eth0, "', "Accept-Encoding: gzip", "Accept: \t", "X: " + "a" * 9000),
    _of("X: y\r\n" * 200, "X: \0", "X", ": y", b"\xff: \xff", "\r", "\n", b"X " + TOKEN),
    lambda random: _junk(random) + b": " + _junk(random),
)
BODIES: Final = _one_of(
    _of(
        "null", "{", "[]", '{"reason": "\\ud800"}', '{"reason": "\\u0000"}', b"\xff", b"\xfe{\0}\0"
    ),
    _of(
        "[" * 9000, " " * 16385, '{"reason": "%s"}' % ("r" * 16400), '{"a":' * 900 + "1" + "}" * 900
    ),
    _reason,
    _object,
    _junk,
)
ENCODED: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "deflate": zlib.compress,
    "bomb": lambda content: gzip.compress(b" " * 1_000_000 + content, mtime=0),
    "cut": lambda content: gzip.compress(content, mtime=0)[:-9],
}
# What HTTP itself forbids is never seen by our code: the rest comes twice as often.
PARTS: Final = (
    *("method", "version", "framing", "line end", "splice", "cut", "ending"),
    *("path", "authorization", "headers", "body", "encoding") * 2,
)
KINDS: Final = (
    *((part,) for part in PARTS * 8),
    *((one, other) for one, other in combinations(PARTS, 2) if one != other),
)
"""The parts of a request that are not good: as often one, about, as two."""


def hostile_requests(rounds: int) -> Iterator[Hostile]:
    """The same ones at each call: in each round, one of each kind."""
    random = Random(7)
    for kind in KINDS * rounds:
        yield _hostile(random, kind)


def _hostile(random: Random, odd: tuple[str, ...]) -> Hostile:
    def part(name: str, good: Bytes, bad: Bytes) -> bytes:
        return (bad if name in odd else good)(random)

    headers = [b"Host: x"]
    headers.append(part("authorization", _of(b"Authorization: Bearer " + TOKEN), AUTHORIZATION))
    if "headers" in odd:
        headers += [HEADERS(random) for _ in range(random.randint(1, 3))]
    method = part("method", _of("POST", "GET"), METHODS)
    good_path = b"/api/v1/runs/%d" + (b"/cancel" if method == b"POST" else b"")
    path = part("path", _of(good_path % RUN, good_path % OVER), PATHS)
    body = part("body", _of("", "{}", '{"reason": "superseded"}'), BODIES)
    if "encoding" in odd:
        encoding = random.choice(sorted(ENCODED))
        body = ENCODED[encoding](body)
        headers.append(b"Content-Encoding: " + (b"deflate" if encoding == "deflate" else b"gzip"))
    framing = part("framing", _of("length", "chunks"), _of("short", "bad chunks", "none"))
    if framing in (b"length", b"short"):
        missing = random.randint(1, 50) if framing == b"short" else 0
        headers.append(b"Content-Length: %d" % (len(body) + missing))
    elif framing != b"none":
        headers.append(b"Transfer-Encoding: chunked")
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        body = chunk + (b"0\r\n\r\n" if framing == b"chunks" else _junk(random) + b"\r\n")
    start = b" ".join([method, path, part("version", _of("HTTP/1.1"), VERSIONS)])
    end = part("line end", _of("\r\n"), _of("\n", "\r"))
    data = end.join([start, *random.sample(headers, len(headers)), b"", body])
    if "splice" in odd:
        at = random.randint(0, len(data))
        data = data[:at] + _junk(random) + data[at + random.randint(0, 40) :]
    return Hostile(
        data,
        cut=random.randint(1, len(data)) if "cut" in odd else 0,
        ending=random.choice(["close", "reset"]) if "ending" in odd else "wait",
    )
