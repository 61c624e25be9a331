"""The contract as a table: status, cause, envelope, headers."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.openapi.operations.cancellations import (
    CANCEL_RUNS,
    GET_CANCELLATION,
    LIST_CANCELLATIONS,
)
from gateway.openapi.operations.cancels import CANCEL_RUN, FORCE_CANCEL_RUN
from gateway.openapi.operations.model import Operation
from gateway.openapi.operations.runs import GET_RUN
from tests.support.http.api import Answer, Api


@dataclass(frozen=True, slots=True)
class Callers:
    """The gateway as different people see it, and gateways for which something is wrong."""

    alice: Api
    user: Api
    reader: Api
    writer: Api
    spent: Api
    stranger: Api
    without_broker: Api
    without_postgres: Api
    with_broken_schema: Api
    document: Mapping[str, Any]


Ask = Callable[[Callers], Awaitable[Answer]]

REALM: Final = 'Bearer realm="run-cancel"'
SPENT: Final = {
    "X-RateLimit-Limit": r"\d+",
    "X-RateLimit-Remaining": r"\d+",
    "X-RateLimit-Reset": r"1\d{9}",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One cause, what is asked, and everything that the answer must have."""

    cause: str
    operation: Operation | None
    ask: Ask
    status: int
    code: str | None
    message: str
    details: Mapping[str, Any] | None
    headers: Mapping[str, str]


def _cancel(who: str, run: object = 1, **options: Any) -> Ask:
    return lambda callers: getattr(callers, who).cancel(run, **options)


def _get(who: str, path: str = "/api/v1/runs/1", method: str = "GET", **options: Any) -> Ask:
    return lambda callers: getattr(callers, who).ask(method, path, **options)


def _send(body: bytes, content_type: str | None) -> Ask:
    return lambda callers: callers.alice.send(1, body, content_type)


async def _slow_body(callers: Callers) -> Answer:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)  # longer than the gateway waits

    headers = {"Authorization": f"Bearer {callers.alice.token}"}
    return await callers.alice.cancel(1, data=body(), headers=headers)


async def _expect(callers: Callers) -> Answer:
    headers = {"Authorization": f"Bearer {callers.alice.token}", "Expect": "200-ok"}
    return await callers.alice.cancel(1, headers=headers)


def _invalid(field: str, problem: str) -> tuple[str, str, dict[str, Any]]:
    return (
        "validation_error",
        f"Invalid request: {field}: {problem}.",
        {"fields": {field: problem}},
    )


_BUDGET = {"retry_after": ..., "limit": 1, "window": "60s"}
_LIMITED = "More than 1 requests in 60 s; try again in {} s."
_AWAY = "The service is temporarily unavailable and the request may be repeated safely."
_NO_TOKEN = "A bearer token is required."
_BAD_TOKEN = "The bearer token is invalid, expired or revoked."
_CHALLENGE = {"WWW-Authenticate": re.escape(REALM), **SPENT}
_INVALID_TOKEN = {"WWW-Authenticate": re.escape(f'{REALM}, error="invalid_token"'), **SPENT}
_LOCATION = {
    "Location": "/api/v1/runs/[12]",
    "X-Command-Id": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    **SPENT,
}
_RETRY = {"Retry-After": r"[1-9]\d?"}


def _insufficient(scope: str) -> Mapping[str, str]:
    challenge = f'{REALM}, error="insufficient_scope", scope="{scope}"'
    return {"WWW-Authenticate": re.escape(challenge), **SPENT}


def _scopes(required: str, has: str) -> dict[str, Any]:
    return {"required_scope": required, "token_scopes": [has]}


COMMAND: Final = "6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11"
"""On record, as a cancel of run 1."""
UNKNOWN_COMMAND: Final = "6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c12"
_NO_PARAMETER = "is not a parameter of this request"


def _keyed(path: str) -> Ask:
    async def ask(callers: Callers) -> Answer:
        headers = {"Authorization": f"Bearer {callers.alice.token}", "Idempotency-Key": COMMAND}
        return await callers.alice.ask("POST", path, headers=headers)

    return ask


def _bytes(path: str, body: bytes, content_type: str) -> Ask:
    async def ask(callers: Callers) -> Answer:
        headers = {
            "Authorization": f"Bearer {callers.alice.token}",
            "Content-Type": content_type,
        }
        return await callers.alice.ask("POST", path, data=body, headers=headers)

    return ask


def _slowly(path: str) -> Ask:
    async def ask(callers: Callers) -> Answer:
        async def body() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(1)  # longer than the gateway waits

        headers = {"Authorization": f"Bearer {callers.alice.token}"}
        return await callers.alice.ask("POST", path, data=body(), headers=headers)

    return ask


def _common(
    operation: Operation, path: str, scope: str, lacking: str, **options: Any
) -> Iterator[Case]:
    """What every call answers, whatever it does."""

    def ask(who: str, at: str = path, **more: Any) -> Ask:
        return _get(who, at, operation.method.upper(), **options, **more)

    has = "runs:read" if lacking == "reader" else "runs:write"
    yield Case(
        "query",
        operation,
        ask("alice", f"{path}?what=1"),
        400,
        *_invalid("what", _NO_PARAMETER),
        SPENT,
    )
    yield Case(
        "no_token",
        operation,
        ask("alice", headers={}),
        401,
        "unauthorized",
        _NO_TOKEN,
        {},
        _CHALLENGE,
    )
    yield Case(
        "bad_token", operation, ask("stranger"), 401, "unauthorized", _BAD_TOKEN, {}, _INVALID_TOKEN
    )
    yield Case(
        "scope",
        operation,
        ask(lacking),
        403,
        "forbidden",
        f"The token lacks the scope {scope}.",
        _scopes(scope, has),
        _insufficient(scope),
    )
    yield Case(
        "spent",
        operation,
        ask("spent"),
        429,
        "rate_limited",
        _LIMITED,
        _BUDGET,
        {**_RETRY, **SPENT},
    )
    yield Case(
        "crash",
        operation,
        ask("with_broken_schema"),
        500,
        "internal_error",
        "An unexpected error occurred.",
        {},
        {},
    )
    yield Case(
        "no_postgres", operation, ask("without_postgres"), 503, "unavailable", _AWAY, {}, _RETRY
    )


def _posting(operation: Operation, path: str, **options: Any) -> Iterator[Case]:
    """What every call with a body answers that cancels runs."""
    yield Case(
        "role",
        operation,
        _get("user", path, "POST", **options),
        403,
        "forbidden",
        "The role user may not do this.",
        {"required_roles": ["admin", "tester", "contributor"], "user_role": "user"},
        SPENT,
    )
    yield Case(
        "not_json",
        operation,
        _bytes(path, b"[]", "application/json"),
        400,
        *_invalid("body", "must be an object"),
        SPENT,
    )
    yield Case(
        "slow_body",
        operation,
        _slowly(path),
        408,
        *_invalid("body", "did not arrive in time"),
        SPENT,
    )
    yield Case(
        "big_body",
        operation,
        _bytes(path, b" " * 16385, "application/json"),
        413,
        *_invalid("body", "is too large"),
        SPENT,
    )
    yield Case(
        "type",
        operation,
        _bytes(path, b"{}", "text/plain"),
        415,
        *_invalid("Content-Type", "must be application/json"),
        SPENT,
    )
    yield Case(
        "no_broker",
        operation,
        _get("without_broker", path, "POST", **options),
        503,
        "unavailable",
        _AWAY,
        {},
        {**_RETRY, **SPENT},
    )


def _no_run(operation: Operation, path: str) -> Iterator[Case]:
    yield Case(
        "no_run",
        operation,
        _get("alice", path, operation.method.upper()),
        404,
        "not_found",
        "Run 9317 not found.",
        {"resource": "run", "id": 9317},
        SPENT,
    )


_RUNS: Final = "/api/v1/runs"
_OTHER_RUN: Final = "The Idempotency-Key was already used for another run. Use a new one."
_OTHER_KIND: Final = "The Idempotency-Key was already used for a cancel of this run. Use a new one."
_ID: Final = {"resource": "cancellation", "id": COMMAND}
F, L, K, B = FORCE_CANCEL_RUN, LIST_CANCELLATIONS, GET_CANCELLATION, CANCEL_RUNS
_BULK: Final = "/api/v1/cancellations"
BESIDE: Final = [
    Case("key_of_another_run", CANCEL_RUN, _keyed(f"{_RUNS}/2/cancel"), 409, "conflict", _OTHER_RUN, _ID, SPENT),
    Case("accepted", F, _get("alice", f"{_RUNS}/1/force-cancel", "POST"), 202, None,
         "Cancellation of run 1 accepted.", None, _LOCATION),
    Case("key_of_another_kind", F, _keyed(f"{_RUNS}/1/force-cancel"), 409, "conflict", _OTHER_KIND, _ID, SPENT),
    *_common(F, f"{_RUNS}/1/force-cancel", "runs:force", "writer"),
    *_posting(F, f"{_RUNS}/1/force-cancel"),
    *_no_run(F, f"{_RUNS}/9317/force-cancel"),
    Case("list", L, _get("alice", f"{_RUNS}/1/cancellations"), 200, None, "", None, SPENT),
    Case("limit", L, _get("alice", f"{_RUNS}/1/cancellations?limit=1001"), 400,
         *_invalid("limit", "must be given once, as an integer from 1 to 1000"), SPENT),
    *_common(L, f"{_RUNS}/1/cancellations", "runs:read", "writer"),
    *_no_run(L, f"{_RUNS}/9317/cancellations"),
    Case("one", K, _get("alice", f"{_RUNS}/1/cancellations/{COMMAND}"), 200, None, "", None, SPENT),
    Case("not_a_uuid", K, _get("alice", f"{_RUNS}/1/cancellations/x"), 400,
         *_invalid("command_id", "must be a UUID"), SPENT),
    Case("wait", K, _get("alice", f"{_RUNS}/1/cancellations/{COMMAND}?wait=31"), 400,
         *_invalid("wait", "must be given once, as seconds from 0 to 30"), SPENT),
    Case("not_received", K, _get("alice", f"{_RUNS}/1/cancellations/{UNKNOWN_COMMAND}"), 404, "not_found",
         f"Run 1 has no cancellation {UNKNOWN_COMMAND} on record.",
         {"resource": "cancellation", "id": UNKNOWN_COMMAND}, SPENT),
    *_common(K, f"{_RUNS}/1/cancellations/{COMMAND}", "runs:read", "writer"),
    *_no_run(K, f"{_RUNS}/9317/cancellations/{COMMAND}"),
    Case("bulk", B, _get("alice", _BULK, "POST", json={"run_ids": [1, 9317]}), 202, None, "", None, SPENT),
    Case("two_forms", B, _get("alice", _BULK, "POST", json={"run_ids": [1], "before_run": 2}), 400,
         *_invalid("body", "must have either run_ids, or labels and before_run"), SPENT),
    *_common(B, _BULK, "runs:bulk", "writer", json={"run_ids": [1]}),
    *_posting(B, _BULK, json={"run_ids": [1]}),
]  # fmt: skip

C, G = CANCEL_RUN, GET_RUN
CASES: Final = [
    Case("accepted", C, _cancel("alice"), 202, None, "Cancellation of run 1 accepted.", None, _LOCATION),
    Case("no_op", C, _cancel("alice", 2), 202, None, "Run 2 has already finished (pass).", None, _LOCATION),
    Case("path", C, _cancel("alice", "x"), 400, *_invalid("run_id", "must be an integer, 1 or greater"), SPENT),
    Case("query", C, _get("alice", "/api/v1/runs/1/cancel?force=true", "POST"), 400,
         *_invalid("force", "is not a parameter of this request"), SPENT),
    Case("not_json", C, _send(b"[]", "application/json"), 400, *_invalid("body", "must be an object"), SPENT),
    Case("no_token", C, _cancel("alice", headers={}), 401, "unauthorized", _NO_TOKEN, {}, _CHALLENGE),
    Case("bad_token", C, _cancel("stranger"), 401, "unauthorized", _BAD_TOKEN, {}, _INVALID_TOKEN),
    Case("role", C, _cancel("user"), 403, "forbidden", "The role user may not do this.",
         {"required_roles": ["admin", "tester", "contributor"], "user_role": "user"}, SPENT),
    Case("scope", C, _cancel("reader"), 403, "forbidden", "The token lacks the scope runs:write.",
         _scopes("runs:write", "runs:read"), _insufficient("runs:write")),
    Case("no_run", C, _cancel("alice", 9317), 404, "not_found", "Run 9317 not found.",
         {"resource": "run", "id": 9317}, SPENT),
    Case("beyond_bigint", C, _cancel("alice", 2**63), 404, "not_found", f"Run {2**63} not found.",
         {"resource": "run", "id": 2**63}, SPENT),
    Case("far_beyond_bigint", C, _cancel("alice", 10**100), 404, "not_found", f"Run {10**100} not found.",
         {"resource": "run", "id": 10**100}, SPENT),
    Case("slow_body", C, _slow_body, 408, *_invalid("body", "did not arrive in time"), SPENT),
    Case("big_body", C, _send(b" " * 16385, None), 413, *_invalid("body", "is too large"), SPENT),
    Case("type", C, _send(b"{}", "text/plain"), 415, *_invalid("Content-Type", "must be application/json"), SPENT),
    Case("charset", C, _send(b"{}", "application/json; charset=latin-1"), 415,
         *_invalid("Content-Type", "must have the charset utf-8"), SPENT),
    Case("writes_spent", C, _cancel("spent"), 429, "rate_limited", _LIMITED, _BUDGET, {**_RETRY, **SPENT}),
    Case("crash", C, _cancel("with_broken_schema"), 500, "internal_error", "An unexpected error occurred.", {}, {}),
    Case("no_broker", C, _cancel("without_broker"), 503, "unavailable", _AWAY, {}, {**_RETRY, **SPENT}),
    Case("no_postgres", C, _cancel("without_postgres"), 503, "unavailable", _AWAY, {}, _RETRY),
    Case("run", G, _get("alice"), 200, None, "", None, SPENT),
    Case("path", G, _get("alice", "/api/v1/runs/zero"), 400, *_invalid("run_id", "must be an integer, 1 or greater"),
         SPENT),
    Case("wait", G, _get("alice", "/api/v1/runs/1?wait=31"), 400,
         *_invalid("wait", "must be given once, as seconds from 0 to 30"), SPENT),
    Case("query", G, _get("alice", "/api/v1/runs/1?waits=1"), 400,
         *_invalid("waits", "is not a parameter of this request"), SPENT),
    Case("no_token", G, _get("alice", headers={}), 401, "unauthorized", _NO_TOKEN, {}, _CHALLENGE),
    Case("bad_token", G, _get("stranger"), 401, "unauthorized", _BAD_TOKEN, {}, _INVALID_TOKEN),
    Case("scope", G, _get("writer"), 403, "forbidden", "The token lacks the scope runs:read.",
         _scopes("runs:read", "runs:write"), _insufficient("runs:read")),
    Case("no_run", G, _get("alice", "/api/v1/runs/9317"), 404, "not_found", "Run 9317 not found.",
         {"resource": "run", "id": 9317}, SPENT),
    Case("reads_spent", G, _get("spent"), 429, "rate_limited", _LIMITED, _BUDGET, {**_RETRY, **SPENT}),
    Case("crash", G, _get("with_broken_schema"), 500, "internal_error", "An unexpected error occurred.", {}, {}),
    Case("no_postgres", G, _get("without_postgres"), 503, "unavailable", _AWAY, {}, _RETRY),
    Case("no_route", None, _get("alice", "/api/v1/runs"), 404, "not_found", "No such route.",
         {"resource": "route"}, SPENT),
    Case("no_route_outside", None, _get("alice", "/nowhere", headers={}), 404, "not_found", "No such route.",
         {"resource": "route"}, {}),
    Case("method", None, _get("alice", "/api/v1/runs/1/cancel", "PUT"), 405, "method_not_allowed",
         "PUT is not allowed here; use POST.", {"allowed": ["POST"]}, {"Allow": "POST", **SPENT}),
    Case("expect", None, _expect, 417, *_invalid("Expect", "must be 100-continue"), {}),
    Case("long_url", None, _get("alice", f"/api/v1/runs/{'1' * 9000}"), 400,
         *_invalid("request", "is not well-formed HTTP, or too long"), {}),
    *BESIDE,
]  # fmt: skip
