"""A cause, what is asked, and what every answer must have."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.openapi.operations.model import Operation
from tests.support.http.api import Answer, Api
from tests.support.http.event_stream import EVENTS, streaming


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
    content_type: str = "application/json"


def cancel(who: str, run: object = 1, **options: Any) -> Ask:
    return lambda callers: getattr(callers, who).cancel(run, **options)


def get(who: str, path: str = "/api/v1/runs/1", method: str = "GET", **options: Any) -> Ask:
    return lambda callers: getattr(callers, who).ask(method, path, **options)


def send(body: bytes, content_type: str | None) -> Ask:
    return lambda callers: callers.alice.send(1, body, content_type)


def body(method: str, path: str, body: bytes, content_type: str = "application/json") -> Ask:
    async def ask(callers: Callers) -> Answer:
        headers = {
            "Authorization": f"Bearer {callers.alice.token}",
            "Content-Type": content_type,
        }
        return await callers.alice.ask(method, path, data=body, headers=headers)

    return ask


def slow(method: str, path: str) -> Ask:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)  # longer than the gateway waits

    async def ask(callers: Callers) -> Answer:
        headers = {"Authorization": f"Bearer {callers.alice.token}"}
        return await callers.alice.ask(method, path, data=body(), headers=headers)

    return ask


async def stream(callers: Callers) -> Answer:
    """The answer, with the first message for a body."""
    async with streaming(callers.alice, last_id="unknown") as stream:
        message = await stream.event()
        sent = {"event": message.event, "data": message.data}
        return Answer(200, stream.response.headers, sent)


async def expect(callers: Callers) -> Answer:
    headers = {"Authorization": f"Bearer {callers.alice.token}", "Expect": "200-ok"}
    return await callers.alice.cancel(1, headers=headers)


def invalid(field: str, problem: str) -> tuple[str, str, dict[str, Any]]:
    return (
        "validation_error",
        f"Invalid request: {field}: {problem}.",
        {"fields": {field: problem}},
    )


BUDGET = {"retry_after": ..., "limit": 1, "window": "60s"}
LIMITED = "More than 1 requests in 60 s; try again in {} s."
AWAY = "The service is temporarily unavailable and the request may be repeated safely."
NO_TOKEN = "A bearer token is required."
BAD_TOKEN = "The bearer token is invalid, expired or revoked."
CHALLENGE = {"WWW-Authenticate": re.escape(REALM), **SPENT}
INVALID_TOKEN = {"WWW-Authenticate": re.escape(f'{REALM}, error="invalid_token"'), **SPENT}
LOCATION = {
    "Location": "/api/v1/runs/[12]",
    "X-Command-Id": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    **SPENT,
}
RETRY = {"Retry-After": r"[1-9]\d?"}


def insufficient(scope: str) -> Mapping[str, str]:
    challenge = f'{REALM}, error="insufficient_scope", scope="{scope}"'
    return {"WWW-Authenticate": re.escape(challenge), **SPENT}


def conflict(run_id: int, reason: str) -> dict[str, Any]:
    return {"resource": "run", "id": run_id, "reason": reason}


def refusals(operation: Operation, path: str, scope: str, lacks: str) -> list[Case]:
    """What any call answers to a caller that it does not admit, or if it cannot."""

    def ask(who: str, **options: Any) -> Ask:
        return get(who, path, operation.method.upper(), **options)

    name = {"runs:read": "reader", "runs:write": "writer"}[lacks]
    return [
        Case("query", operation, ask("alice", params={"dry_run": "1"}), 400,
             *invalid("dry_run", "is not a parameter of this request"), SPENT),
        Case("no_token", operation, ask("alice", headers={}), 401, "unauthorized", NO_TOKEN, {}, CHALLENGE),
        Case("bad_token", operation, ask("stranger"), 401, "unauthorized", BAD_TOKEN, {}, INVALID_TOKEN),
        Case("scope", operation, ask(name), 403, "forbidden", f"The token lacks the scope {scope}.",
             scopes(scope, lacks), insufficient(scope)),
        Case("spent", operation, ask("spent"), 429, "rate_limited", LIMITED, BUDGET, {**RETRY, **SPENT}),
        Case("crash", operation, ask("with_broken_schema"), 500, "internal_error",
             "An unexpected error occurred.", {}, {}),
        Case("no_postgres", operation, ask("without_postgres"), 503, "unavailable", AWAY, {}, RETRY),
    ]  # fmt: skip


def bad_bodies(operation: Operation, path: str, limit: int) -> list[Case]:
    """What a call with a body answers to one that it cannot read."""
    method = operation.method.upper()
    return [
        Case("not_json", operation, body(method, path, b"[]"), 400, *invalid("body", "must be an object"), SPENT),
        Case("slow_body", operation, slow(method, path), 408, *invalid("body", "did not arrive in time"), SPENT),
        Case("big_body", operation, body(method, path, b" " * (limit + 1)), 413,
             *invalid("body", "is too large"), SPENT),
        Case("type", operation, body(method, path, b"{}", "text/plain"), 415,
             *invalid("Content-Type", "must be application/json"), SPENT),
    ]  # fmt: skip


def scopes(required: str, has: str) -> dict[str, Any]:
    return {"required_scope": required, "token_scopes": [has]}


def keyed(path: str) -> Ask:
    async def ask(callers: Callers) -> Answer:
        headers = {"Authorization": f"Bearer {callers.alice.token}", "Idempotency-Key": COMMAND}
        return await callers.alice.ask("POST", path, headers=headers)

    return ask


def events(who: str, query: str = "", **options: Any) -> Ask:
    return get(who, f"{EVENTS}{query}", **options)


RUNS: Final = "/api/v1/runs"
COMMAND: Final = "6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11"
"""On record, as a cancel of run 1."""
UNKNOWN_COMMAND: Final = "6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c12"
