"""Hostile requests, as a hypothesis strategy: each is good but for one part of it, or two."""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from hypothesis import strategies as st

Bytes: TypeAlias = st.SearchStrategy[bytes]

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
    return st.sampled_from([it if isinstance(it, bytes) else it.encode() for it in choices])


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


JUNK: Final = st.binary(max_size=40)
NUMBERS: Final = st.one_of(
    st.builds(lambda bits, by: 2**bits + by, st.sampled_from([31, 32, 63, 64]), st.integers(-2, 2)),
    st.integers(),
    st.sampled_from([10**20, 10**400, 10**999, 10**1000, 10**4000]),
).map(lambda number: b"%d" % number)
# Digits, also of other scripts, that are not all numbers to Python: it reads at most 4300 of them.
DIGITS: Final = _of("%C2%B2", "%D9%A1", "%EF%BC%91", "%31", "\u0661", "0", "-0", "1_0", "1" * 5000)
PIECES: Final = _of(
    *("%00", "%0d%0a", "%ff", "%2e%2e", "%2F", "%", "%zz", "%u0031", "\x7f"),
    *("..", "//", ";a=b", "?", "#", "&", "=", "+", "1e999", "nan", "\\", "\0", TOKEN),
)
RUN_IDS: Final = st.one_of(DIGITS, NUMBERS, PIECES, JUNK)

METHODS: Final = st.one_of(
    _of("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"),
    _of("PRI", "post", "", "\0", "PROPFIND"),
    JUNK,
)
PATHS: Final = st.one_of(
    RUN_IDS.map(lambda run_id: b"/api/v1/runs/%b/cancel" % run_id),
    RUN_IDS.map(lambda run_id: b"/api/v1/runs/%b" % run_id),
    st.one_of(NUMBERS, PIECES, _of("0.1", "", "30", "30.5", "-1", "1e-9", "0x1")).map(
        lambda wait: b"/api/v1/runs/%d?wait=%b" % (OVER, wait)
    ),
    _of("*", "/", "", "/healthz", "/api/v1", "/api/v1/runs/1/cancel/", "//[", "/" + "a" * 9000),
    _of("http://[::1/", "http://x:99999/", "x:80", "ftp://x/api/v1/runs/1", "/api/v1/docs/x"),
    _of("http://else.where/api/v1/runs/1/cancel", "/api/v1/docs", "/api/v1/docs/favicon-32x32.png"),
    st.lists(PIECES | JUNK, max_size=5).map(b"/".join),
)
VERSIONS: Final = _of("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/1", "ICY", "") | JUNK
AUTHORIZATION: Final = _of(
    b"Authorization: Bearer " + PLAIN_USER,
    *(b"X: none", b"Authorization: Bearer", b"Authorization: Basic " + TOKEN, b"Authorization"),
    *(b"Authorization:" + TOKEN, b"Authorization: Bearer \xff\xfe", b"authorization: bearer x"),
    b"Authorization: Bearer " + TOKEN + b"\r\nAuthorization: Bearer x",
)
HEADERS: Final = st.one_of(
    _of("Content-Type: text/plain", "Content-Type: ;;/", b"Content-Type: \xff/\xff; charset=\xff"),
    _of("Content-Type: application/json; charset=utf-16", "Content-Type: x\r\nContent-Type: y"),
    _of("Content-Encoding: gzip", "Content-Encoding: deflate", "Content-Encoding: br, br"),
    _of("Content-Length: 2", "Content-Length: -1", "Content-Length: +2", "Content-Length: 2, 2"),
    NUMBERS.map(b"Content-Length: ".__add__),
    _of("Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "transfer-encoding : chunked"),
    _of("Expect: 100-continue", "Expect: 200-ok", "Connection: close", "Connection: keep-alive"),
    _of("Connection: upgrade\r\nUpgrade: websocket", "Connection: Upgrade\r\nUpgrade: h2c"),
    _of("Host: [::", "Host: a\r\nHost: b", "Range: bytes=9-1", "If-None-Match: x", "Cookie: =;\t"),
    _of(b"X-Request-Id: " + TOKEN, b"X-Request-Id: \xff", "X-Request-Id: a\r\n b", " folded"),
    _of('X-Forwarded-For: ::1%eth0, "', "Accept-Encoding: gzip", "Accept: \t", "X: " + "a" * 9000),
    _of("X: y\r\n" * 200, "X: \0", "X", ": y", b"\xff: \xff", "\r", "\n", b"X " + TOKEN),
    st.builds(lambda name, value: name + b": " + value, JUNK, JUNK),
)
BODIES: Final = st.one_of(
    _of(
        "null", "{", "[]", '{"reason": "\\ud800"}', '{"reason": "\\u0000"}', b"\xff", b"\xfe{\0}\0"
    ),
    _of(
        "[" * 9000, " " * 16385, '{"reason": "%s"}' % ("r" * 16400), '{"a":' * 900 + "1" + "}" * 900
    ),
    st.text(min_size=250, max_size=260).map(lambda reason: _json({"reason": reason})),
    st.dictionaries(st.text(max_size=9), st.text() | st.floats() | st.integers(), max_size=3).map(
        _json
    ),
    JUNK,
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


@st.composite
def hostile(draw: st.DrawFn) -> Hostile:
    odd = draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=2, unique=True))

    def part(name: str, good: Bytes, bad: Bytes) -> bytes:
        return draw(bad if name in odd else good)

    headers = [b"Host: x"]
    headers.append(part("authorization", st.just(b"Authorization: Bearer " + TOKEN), AUTHORIZATION))
    if "headers" in odd:
        headers += draw(st.lists(HEADERS, min_size=1, max_size=3))
    method = part("method", _of("POST", "GET"), METHODS)
    good_path = b"/api/v1/runs/%d" + (b"/cancel" if method == b"POST" else b"")
    path = part("path", st.sampled_from([good_path % RUN, good_path % OVER]), PATHS)
    body = part("body", _of("", "{}", '{"reason": "superseded"}'), BODIES)
    if "encoding" in odd:
        encoding = draw(st.sampled_from(sorted(ENCODED)))
        body = ENCODED[encoding](body)
        headers.append(b"Content-Encoding: " + (b"deflate" if encoding == "deflate" else b"gzip"))
    framing = part("framing", _of("length", "chunks"), _of("short", "bad chunks", "none"))
    if framing in (b"length", b"short"):
        missing = draw(st.integers(1, 50)) if framing == b"short" else 0
        headers.append(b"Content-Length: %d" % (len(body) + missing))
    elif framing != b"none":
        headers.append(b"Transfer-Encoding: chunked")
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        body = chunk + (b"0\r\n\r\n" if framing == b"chunks" else draw(JUNK) + b"\r\n")
    start = b" ".join([method, path, part("version", st.just(b"HTTP/1.1"), VERSIONS)])
    end = part("line end", st.just(b"\r\n"), _of("\n", "\r"))
    data = end.join([start, *draw(st.permutations(headers)), b"", body])
    if "splice" in odd:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(JUNK) + data[at + draw(st.integers(0, 40)) :]
    return Hostile(
        data,
        cut=draw(st.integers(1, len(data))) if "cut" in odd else 0,
        ending=draw(st.sampled_from(["close", "reset"])) if "ending" in odd else "wait",
    )
