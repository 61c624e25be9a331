"""The contract as a table: status, cause, envelope, headers."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.openapi.operations.cancels import CANCEL_RUN
from gateway.openapi.operations.model import Operation
from gateway.openapi.operations.registering import POST_RUNS, PUT_RUN
from gateway.openapi.operations.runs import GET_RUN, LIST_RUNS
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


def _body(method: str, path: str, body: bytes, content_type: str = "application/json") -> Ask:
    async def ask(callers: Callers) -> Answer:
        headers = {
            "Authorization": f"Bearer {callers.alice.token}",
            "Content-Type": content_type,
        }
        return await callers.alice.ask(method, path, data=body, headers=headers)

    return ask


def _slow(method: str, path: str) -> Ask:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)  # longer than the gateway waits

    async def ask(callers: Callers) -> Answer:
        headers = {"Authorization": f"Bearer {callers.alice.token}"}
        return await callers.alice.ask(method, path, data=body(), headers=headers)

    return ask


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
_LOCATION = {"Location": "/api/v1/runs/[12]", **SPENT}
_RETRY = {"Retry-After": r"[1-9]\d?"}


def _insufficient(scope: str) -> Mapping[str, str]:
    challenge = f'{REALM}, error="insufficient_scope", scope="{scope}"'
    return {"WWW-Authenticate": re.escape(challenge), **SPENT}


def _conflict(run_id: int, reason: str) -> dict[str, Any]:
    return {"resource": "run", "id": run_id, "reason": reason}


def _refusals(operation: Operation, path: str, scope: str, lacks: str) -> list[Case]:
    """What any call answers to a caller that it does not admit, or if it cannot."""

    def ask(who: str, **options: Any) -> Ask:
        return _get(who, path, operation.method.upper(), **options)

    name = {"runs:read": "reader", "runs:write": "writer"}[lacks]
    return [
        Case("query", operation, ask("alice", params={"dry_run": "1"}), 400,
             *_invalid("dry_run", "is not a parameter of this request"), SPENT),
        Case("no_token", operation, ask("alice", headers={}), 401, "unauthorized", _NO_TOKEN, {}, _CHALLENGE),
        Case("bad_token", operation, ask("stranger"), 401, "unauthorized", _BAD_TOKEN, {}, _INVALID_TOKEN),
        Case("scope", operation, ask(name), 403, "forbidden", f"The token lacks the scope {scope}.",
             _scopes(scope, lacks), _insufficient(scope)),
        Case("spent", operation, ask("spent"), 429, "rate_limited", _LIMITED, _BUDGET, {**_RETRY, **SPENT}),
        Case("crash", operation, ask("with_broken_schema"), 500, "internal_error",
             "An unexpected error occurred.", {}, {}),
        Case("no_postgres", operation, ask("without_postgres"), 503, "unavailable", _AWAY, {}, _RETRY),
    ]  # fmt: skip


def _bad_bodies(operation: Operation, path: str, limit: int) -> list[Case]:
    """What a call with a body answers to one that it cannot read."""
    method = operation.method.upper()
    return [
        Case("not_json", operation, _body(method, path, b"[]"), 400, *_invalid("body", "must be an object"), SPENT),
        Case("slow_body", operation, _slow(method, path), 408, *_invalid("body", "did not arrive in time"), SPENT),
        Case("big_body", operation, _body(method, path, b" " * (limit + 1)), 413,
             *_invalid("body", "is too large"), SPENT),
        Case("type", operation, _body(method, path, b"{}", "text/plain"), 415,
             *_invalid("Content-Type", "must be application/json"), SPENT),
    ]  # fmt: skip


def _scopes(required: str, has: str) -> dict[str, Any]:
    return {"required_scope": required, "token_scopes": [has]}


C, G, L, P, B = CANCEL_RUN, GET_RUN, LIST_RUNS, PUT_RUN, POST_RUNS
_RUNS = "/api/v1/runs"
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
    Case("slow_body", C, _slow("POST", "/api/v1/runs/1/cancel"), 408, *_invalid("body", "did not arrive in time"), SPENT),
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
    Case("list", L, _get("alice", _RUNS), 200, None, "", None, SPENT),
    Case("page", L, _get("alice", f"{_RUNS}?limit=1"), 200, None, "", None,
         {"Link": r'</api/v1/runs\?limit=1&after=[\w-]{22}>; rel="next"', **SPENT}),
    Case("cursor", L, _get("alice", f"{_RUNS}?after=x"), 400,
         *_invalid("after", "must be given once, as in the link to the next page of this list"), SPENT),
    *_refusals(L, _RUNS, "runs:read", "runs:write"),
    Case("created", P, _get("alice", f"{_RUNS}/101", "PUT"), 201, None, "", None,
         {"Location": "/api/v1/runs/101", **SPENT}),
    Case("exists", P, _get("alice", f"{_RUNS}/1", "PUT"), 200, None, "", None, SPENT),
    Case("path", P, _get("alice", f"{_RUNS}/0", "PUT"), 400,
         *_invalid("run_id", "must be an integer, 1 or greater"), SPENT),
    Case("beyond_bigint", P, _get("alice", f"{_RUNS}/{2**63}", "PUT"), 400,
         *_invalid("run_id", f"must be at most {2**63 - 1}"), SPENT),
    Case("differs", P, _get("alice", f"{_RUNS}/1", "PUT", json={"grace_seconds": 5}), 409, "conflict",
         "Run 1 is on record with other options.", _conflict(1, "differs"), SPENT),
    Case("not_queued", P, _get("alice", f"{_RUNS}/2", "PUT"), 409, "conflict",
         "Run 2 is on record and no longer queued.", _conflict(2, "not_queued"), SPENT),
    *_refusals(P, f"{_RUNS}/1", "runs:register", "runs:read"),
    *_bad_bodies(P, f"{_RUNS}/1", 16384),
    Case("results", B, _get("alice", _RUNS, "POST", json={"runs": [{"run_id": 1}, {"run_id": 0}]}), 200, None, "",
         None, SPENT),
    *_refusals(B, _RUNS, "runs:register", "runs:read"),
    *_bad_bodies(B, _RUNS, 1024 * 1024),
    Case("no_route", None, _get("alice", "/api/v1/nowhere"), 404, "not_found", "No such route.",
         {"resource": "route"}, SPENT),
    Case("no_route_outside", None, _get("alice", "/nowhere", headers={}), 404, "not_found", "No such route.",
         {"resource": "route"}, {}),
    Case("method", None, _get("alice", "/api/v1/runs/1/cancel", "PUT"), 405, "method_not_allowed",
         "PUT is not allowed here; use POST.", {"allowed": ["POST"]}, {"Allow": "POST", **SPENT}),
    Case("expect", None, _expect, 417, *_invalid("Expect", "must be 100-continue"), {}),
    Case("long_url", None, _get("alice", f"/api/v1/runs/{'1' * 9000}"), 400,
         *_invalid("request", "is not well-formed HTTP, or too long"), {}),
]  # fmt: skip
