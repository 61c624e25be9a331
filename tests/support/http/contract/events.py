"""The contract of event streams, and of what is no call."""

from typing import Final

from gateway.events.query import RUN_ID_PROBLEM, TYPE_PROBLEM
from gateway.openapi.operations.events import STREAM_EVENTS
from tests.support.http.contract.case import (
    AWAY,
    BAD_TOKEN,
    BUDGET,
    CHALLENGE,
    INVALID_TOKEN,
    LIMITED,
    NO_TOKEN,
    RETRY,
    SPENT,
    Case,
    events,
    expect,
    get,
    insufficient,
    invalid,
    scopes,
    stream,
)

E = STREAM_EVENTS
OTHERS: Final = [
    Case("stream", E, stream, 200, None, "", None, SPENT, "text/event-stream"),
    Case("run_id", E, events("alice", "?run_id=0"), 400, *invalid("run_id", RUN_ID_PROBLEM), SPENT),
    Case("type", E, events("alice", "?type=run.finished"), 400, *invalid("type", TYPE_PROBLEM), SPENT),
    Case("query", E, events("alice", "?runs=1"), 400, *invalid("runs", "is not a parameter of this request"), SPENT),
    Case("no_token", E, events("alice", headers={}), 401, "unauthorized", NO_TOKEN, {}, CHALLENGE),
    Case("bad_token", E, events("stranger"), 401, "unauthorized", BAD_TOKEN, {}, INVALID_TOKEN),
    Case("scope", E, events("writer"), 403, "forbidden", "The token lacks the scope runs:read.",
         scopes("runs:read", "runs:write"), insufficient("runs:read")),
    Case("reads_spent", E, events("spent"), 429, "rate_limited", LIMITED, BUDGET, {**RETRY, **SPENT}),
    Case("crash", E, events("with_broken_schema"), 500, "internal_error", "An unexpected error occurred.", {}, {}),
    Case("no_postgres", E, events("without_postgres"), 503, "unavailable", AWAY, {}, RETRY),
    Case("no_route", None, get("alice", "/api/v1/nowhere"), 404, "not_found", "No such route.",
         {"resource": "route"}, SPENT),
    Case("no_route_outside", None, get("alice", "/nowhere", headers={}), 404, "not_found", "No such route.",
         {"resource": "route"}, {}),
    Case("method", None, get("alice", "/api/v1/runs/1/cancel", "PUT"), 405, "method_not_allowed",
         "PUT is not allowed here; use POST.", {"allowed": ["POST"]}, {"Allow": "POST", **SPENT}),
    Case("expect", None, expect, 417, *invalid("Expect", "must be 100-continue"), {}),
    Case("long_url", None, get("alice", f"/api/v1/runs/{'1' * 9000}"), 400,
         *invalid("request", "is not well-formed HTTP, or too long"), {}),
]  # fmt: skip
