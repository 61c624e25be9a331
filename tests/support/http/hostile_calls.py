"""Hostile requests for the calls beside the plain cancel, each with what its answer must name."""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.openapi.operations.cancellations import (
    CANCEL_RUNS,
    GET_CANCELLATION,
    LIST_CANCELLATIONS,
)
from gateway.openapi.operations.cancels import FORCE_CANCEL_RUN
from gateway.openapi.operations.events import STREAM_EVENTS
from gateway.openapi.operations.model import Operation
from gateway.openapi.operations.registering import POST_RUNS, PUT_RUN
from gateway.openapi.operations.runs import LIST_RUNS
from tests.support.http.hostile_requests import RUN, TOKEN

COMMAND: Final = "6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11"
"""On record, as a cancel of RUN."""
NEW: Final = 4711


@dataclass(frozen=True, slots=True)
class HostileCall:
    """A request, the status of its answer, and the field or resource that the answer names."""

    data: bytes
    status: int
    names: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operation, a body that it takes, and the status that it then answers."""

    operation: Operation
    run_id: int = RUN
    body: Any = None
    status: int = 200

    @property
    def path(self) -> str:
        return self.operation.path.format(run_id=self.run_id, command_id=COMMAND)


CALLS: Final = (
    Call(PUT_RUN, NEW, {"labels": {"branch": "main"}}, 201),
    Call(POST_RUNS, body={"runs": [{"run_id": NEW + 1}]}),
    Call(FORCE_CANCEL_RUN, body={"reason": "superseded"}, status=202),
    Call(CANCEL_RUNS, body={"run_ids": [RUN]}, status=202),
    Call(LIST_RUNS),
    Call(LIST_CANCELLATIONS),
    Call(GET_CANCELLATION),
    Call(STREAM_EVENTS),
)

# None of these is JSON in UTF-8, or none an object.
_BODIES: Final = (
    *(b"{", b"[]", b"null", b'"{}"', b"NaN", b"-0", b"1e400", b"1" * 5000, b"[" * 10_000),
    *(b"{'reason': ''}", b"{} {}", b"{}\0", b"{},", b'{"\\ud800": ""}', b'{"reason": "\\udc00"}'),
    *(b'{"reason": "\xff"}', b'{"reason": "\xed\xa0\x80"}', b'{"reason": "a\nb"}'),
    *("\ufeff{}".encode(), "{}".encode("utf-16"), "{}".encode("utf-16-be"), "{}".encode("utf-32")),
)
_BODIES_OF: Final[Mapping[str, Mapping[str | bytes, str]]] = {
    PUT_RUN.operation_id: {
        '{"grace_seconds": 1e400}': "grace_seconds",
        '{"grace_seconds": -1e400}': "grace_seconds",
        '{"grace_seconds": NaN}': "grace_seconds",
        '{"labels": {"\\u0000": ""}}': "labels.\0",
        '{"labels": {"a": "\\u0000"}}': "labels.a",
        '{"labels": {"a": 1, "a": ""}}': "labels.a",
        '{"labels": {"a": "", "a": ""}}': "",
        '{"labels": %s}' % ('{"a":' * 150 + "1" + "}" * 150): "labels.a",
        '{"url": "https://x/\\u0000"}': "url",
        '{"start_before": "0001-01-01T00:00:00Z"}': "start_before",
        '{"run_id": 4711}': "run_id",
        b" " * 16385: "413",
    },
    POST_RUNS.operation_id: {
        "": "runs",
        '{"runs": []}': "runs",
        json.dumps({"runs": [{"run_id": NEW + n} for n in range(1001)]}): "runs",
        '{"runs": [{"run_id": 4711}], "runs": []}': "runs",
        '{"runs": [], "runs": [{"run_id": 4711}]}': "",
        '{"runs": [{"run_id": 4711}], "dry_run": true}': "dry_run",
        b'{"runs": [{"run_id": 4711}, ' + b"[" * 10_000 + b"]" * 10_000 + b"]}": "",
        b'{"runs": [{"run_id": 4711}, %b]}' % (b"1" * 5000): "",
        b" " * (1024 * 1024 + 1): "413",
    },
    FORCE_CANCEL_RUN.operation_id: {
        '{"reason": "\\u0000"}': "reason",
        '{"reason": null}': "reason",
        json.dumps({"reason": "r" * 256}): "reason",
        '{"reason": "a", "reason": 1}': "reason",
        '{"reason": "a", "reason": "b"}': "",
        '{"force": false}': "force",
        b" " * 16385: "413",
    },
    CANCEL_RUNS.operation_id: {
        "": "",
        '{"run_ids": []}': "run_ids",
        json.dumps({"run_ids": [*range(1, 502)]}): "run_ids",
        '{"run_ids": [1, 1]}': "run_ids",
        '{"run_ids": [1], "run_ids": [1]}': "",
        '{"run_ids": [1], "labels": {"a": "b"}, "before_run": 9}': "",
        **{f'{{"run_ids": [1, {it}]}}': "run_ids.1" for it in ("NaN", "1e400", "-0", '"1"', 2**63)},
        b'{"run_ids": [1, %b]}' % (b"1" * 5000): "",
        '{"labels": {"a": "\\u0000"}, "before_run": 9}': "labels.a",
        '{"labels": {"a": 1, "a": ""}, "before_run": 9}': "labels.a",
        '{"labels": {"a": ""}, "before_run": -0}': "before_run",
        '{"run_ids": [1], "reason": "\\u0000"}': "reason",
        b" " * 16385: "413",
    },
}
_GZIPPED: Final = gzip.compress(b"{}", mtime=0)
_BRACES: Final = b"Content-Length: 2\r\n\r\n{}"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"
_NO_SIZES: Final = (b"zz", b"-2", b"+2", b"0x2", b"2 2", b"", b"f" * 20, b"1")
_NO_LENGTHS: Final = (b"-1", b"+2", b"0x2", b"2, 2", b"2\r\nContent-Length: 3", b"1" * 5000)
_JSON: Final = b"application/json"
_TYPES: Final = (
    *(b"text/plain", b"application/x-www-form-urlencoded", b"application/json5"),
    *(_JSON + b"; charset=" + charset for charset in (b"utf-16", b"utf-7", b"\xff", b"x" * 5000)),
)
# How a body is sent, as headers and body.
_FRAMINGS: Final[Mapping[bytes, tuple[int, str]]] = {
    b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(_GZIPPED), _GZIPPED): (
        415,
        "Content-Encoding",
    ),
    b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n" + _BRACES: (
        415,
        "Content-Encoding",
    ),
    **dict.fromkeys((_CHUNKED + it + b"\r\n{}\r\n0\r\n\r\n" for it in _NO_SIZES), (400, "request")),
    _CHUNKED + b"fffffff\r\n{}\r\n0\r\n\r\n": (408, "body"),
    _CHUNKED + b"2\r\n{}\r\n": (408, "body"),
    b"Content-Length: 3\r\n\r\n{}": (408, "body"),
    b"Content-Length: 1\r\n\r\n{}": (400, "request"),
    b"Content-Length: 99999999\r\n\r\n{}": (413, "body"),
    **{b"Content-Length: %b\r\n\r\n{}" % it: (400, "request") for it in _NO_LENGTHS},
    **{b"Content-Type: %b\r\n%b" % (it, _BRACES): (415, "Content-Type") for it in _TYPES},
    b"Content-Type: %b\r\nContent-Type: text/plain\r\n%b" % (_JSON, _BRACES): (400, "request"),
}
_KEYS: Final = (
    *(b"", b"1", b"6" * 5000, b"\xff", b"{%b}" % COMMAND.encode(), COMMAND.encode() + b",x"),
    COMMAND.replace("6", "\N{FULLWIDTH DIGIT SIX}").encode(),
    b"%b\r\nIdempotency-Key: %b" % (COMMAND.encode(), COMMAND.encode()),
)
# Full-width digits as they are do not belong into a request line.
_RUN_IDS: Final = {
    **dict.fromkeys(("0", "00", "-1", "+1", "1.0", "1e3", "1_0", "x", "%00", "1%00"), "run_id"),
    **dict.fromkeys(("%2B1", "%20", "1%0A", "%EF%BC%91", "%D9%A1", "%C2%B2", "1" * 5000), "run_id"),
    "\N{FULLWIDTH DIGIT ONE}": "request",
    str(2**63): "run",
}
_COMMAND_IDS: Final = (
    *("x", "%00", COMMAND.replace("-", ""), f"{COMMAND}%0A", f"{COMMAND}x", "1" * 5000),
    COMMAND.replace("6", "%EF%BC%96"),
)
_LIMITS: Final = ("1&limit=1", "1e3", "%2B1", "-0", "0", "", "nan", "%EF%BC%91", "1" * 5000)
# Base64 of something else, and an id that is not on this list.
_CURSORS: Final = ("eyJhIjoxfQ==", "AAAAAAAAAAAAAAAAAAAAAA", "%00", "%FF", "", "x&after=x", RUN)
_QUERIES: Final[Mapping[str, Mapping[str, tuple[object, ...]]]] = {
    LIST_RUNS.operation_id: {
        "limit": (*_LIMITS, 201),
        "after": (*_CURSORS, COMMAND),
        "label": (
            "a",
            ":a",
            "",
            "a:%00",
            "k" * 64 + ":",
            "a:" + "v" * 256,
            "a:&label=" * 16 + "a:",
        ),
        "status": ("QUEUED", "", "queued&status=queued", "%00"),
        "host": ("", "%00", "a/b", "h&host=h", "h" * 101, "%EF%BC%91"),
        "wait": (1,),
    },
    LIST_CANCELLATIONS.operation_id: {
        "limit": (*_LIMITS, 1001),
        "after": (*_CURSORS, COMMAND.replace("6", "7"), COMMAND.replace("-", "")),
        "status": ("queued",),
    },
    GET_CANCELLATION.operation_id: {
        "wait": ("nan", "inf", "-1", "31", "1e999", "1_0", "%2B1", "", "0&wait=0", "%EF%BC%91"),
        "limit": (1,),
    },
    STREAM_EVENTS.operation_id: {
        "run_id": ("0", "-1", "%2B1", "1e3", "%EF%BC%91", 2**63, "", "1&run_id=1", "1" * 5000),
        "type": ("", "x", "%00", "CI.RUN.FINISHED.V1", "&type=".join(["x"] * 500)),
        "Last-Event-ID": (1,),
    },
}


def hostile_calls(call: Call) -> Iterator[HostileCall]:
    """Hostile requests of all kinds, for one call."""
    operation = call.operation
    line = f"{operation.method.upper()} {call.path}".encode()
    if bodies := _BODIES_OF.get(operation.operation_id):
        for body in _BODIES:
            yield _with_body(line, body, "")
        for text, field in bodies.items():
            yield _with_body(line, text.encode() if isinstance(text, str) else text, field)
        for framing, (status, field) in _FRAMINGS.items():
            yield _request(line, framing, status, field)
        if operation is not POST_RUNS:  # which takes larger ones
            large = b"4001\r\n" + b" " * 0x4001 + b"\r\n0\r\n\r\n"
            yield _request(line, _CHUNKED + large, 413, "body")
    if operation in (FORCE_CANCEL_RUN, CANCEL_RUNS):
        for key in _KEYS:
            yield _request(line, b"Idempotency-Key: " + key + b"\r\n\r\n", 400, "Idempotency-Key")
    if operation is STREAM_EVENTS:
        yield _request(line, b"Last-Event-ID: 1\r\n" * 2 + b"\r\n", 400, "Last-Event-ID")
    yield _request(line, b"X: " + b"x" * 9000 + b"\r\n\r\n", 400, "request")
    yield from _hostile_paths(operation)
    for name, values in _QUERIES.get(operation.operation_id, {"wait": ("nan",)}).items():
        for value in values:
            yield _request(f"{line.decode()}?{name}={value}".encode(), b"\r\n", 400, name)


def _hostile_paths(operation: Operation) -> Iterator[HostileCall]:
    method = operation.method.upper()
    if "{run_id}" in operation.path:
        for run_id, names in _RUN_IDS.items():
            path = operation.path.format(run_id=run_id, command_id=COMMAND)
            if names == "run" and operation is PUT_RUN:
                names = "run_id"
            status = 404 if names == "run" else 400
            yield _request(f"{method} {path}".encode(), b"\r\n", status, names)
    if "{command_id}" in operation.path:
        for command_id in _COMMAND_IDS:
            path = operation.path.format(run_id=RUN, command_id=command_id)
            yield _request(f"{method} {path}".encode(), b"\r\n", 400, "command_id")


def _with_body(line: bytes, body: bytes, field: str) -> HostileCall:
    """`field` is within the body; 413 if the body is too large."""
    rest = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    status = 413 if field == "413" else 400
    return _request(line, rest, status, f"body.{field}" if field and status == 400 else "body")


def _request(line: bytes, rest: bytes, status: int, names: str) -> HostileCall:
    head = b"%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %b\r\n"
    return HostileCall(head % (line, TOKEN) + rest, status, names)
