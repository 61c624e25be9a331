"""The contract of the calls that cancel runs, and of cancellations."""

from typing import Any, Final

from gateway.openapi.operations.cancellations import (
    CANCEL_RUNS,
    GET_CANCELLATION,
    LIST_CANCELLATIONS,
)
from gateway.openapi.operations.cancels import CANCEL_RUN, FORCE_CANCEL_RUN
from gateway.openapi.operations.model import Operation
from tests.support.http.contract.case import (
    AWAY,
    BAD_TOKEN,
    BUDGET,
    CHALLENGE,
    COMMAND,
    INVALID_TOKEN,
    LIMITED,
    LOCATION,
    NO_TOKEN,
    RETRY,
    RUNS,
    SPENT,
    UNKNOWN_COMMAND,
    Case,
    bad_bodies,
    cancel,
    get,
    insufficient,
    invalid,
    keyed,
    refusals,
    scopes,
    send,
    slow,
)

_OTHER_RUN: Final = "The Idempotency-Key was already used for another run. Use a new one."
_OTHER_KIND: Final = "The Idempotency-Key was already used for a cancel of this run. Use a new one."
_ID: Final = {"resource": "cancellation", "id": COMMAND}
C, F, L, K, B = CANCEL_RUN, FORCE_CANCEL_RUN, LIST_CANCELLATIONS, GET_CANCELLATION, CANCEL_RUNS
_BULK: Final = "/api/v1/cancellations"


def _cancels(operation: Operation, path: str, **options: Any) -> list[Case]:
    """What each call that cancels runs answers to a caller who may not, and without a broker."""
    return [
        Case("role", operation, get("user", path, "POST", **options), 403, "forbidden",
             "The role user may not do this.",
             {"required_roles": ["admin", "tester", "contributor"], "user_role": "user"}, SPENT),
        Case("no_broker", operation, get("without_broker", path, "POST", **options), 503, "unavailable",
             AWAY, {}, {**RETRY, **SPENT}),
    ]  # fmt: skip


def _no_run(operation: Operation, path: str) -> Case:
    return Case("no_run", operation, get("alice", path, operation.method.upper()), 404, "not_found",
                "Run 9317 not found.", {"resource": "run", "id": 9317}, SPENT)  # fmt: skip


ON_CANCELS: Final = [
    Case("accepted", C, cancel("alice"), 202, None, "Cancellation of run 1 accepted.", None, LOCATION),
    Case("no_op", C, cancel("alice", 2), 202, None, "Run 2 has already finished (pass).", None, LOCATION),
    Case("path", C, cancel("alice", "x"), 400, *invalid("run_id", "must be an integer, 1 or greater"), SPENT),
    Case("query", C, get("alice", "/api/v1/runs/1/cancel?force=true", "POST"), 400,
         *invalid("force", "is not a parameter of this request"), SPENT),
    Case("not_json", C, send(b"[]", "application/json"), 400, *invalid("body", "must be an object"), SPENT),
    Case("no_token", C, cancel("alice", headers={}), 401, "unauthorized", NO_TOKEN, {}, CHALLENGE),
    Case("bad_token", C, cancel("stranger"), 401, "unauthorized", BAD_TOKEN, {}, INVALID_TOKEN),
    Case("role", C, cancel("user"), 403, "forbidden", "The role user may not do this.",
         {"required_roles": ["admin", "tester", "contributor"], "user_role": "user"}, SPENT),
    Case("scope", C, cancel("reader"), 403, "forbidden", "The token lacks the scope runs:write.",
         scopes("runs:write", "runs:read"), insufficient("runs:write")),
    Case("no_run", C, cancel("alice", 9317), 404, "not_found", "Run 9317 not found.",
         {"resource": "run", "id": 9317}, SPENT),
    Case("beyond_bigint", C, cancel("alice", 2**63), 404, "not_found", f"Run {2**63} not found.",
         {"resource": "run", "id": 2**63}, SPENT),
    Case("far_beyond_bigint", C, cancel("alice", 10**100), 404, "not_found", f"Run {10**100} not found.",
         {"resource": "run", "id": 10**100}, SPENT),
    Case("slow_body", C, slow("POST", "/api/v1/runs/1/cancel"), 408, *invalid("body", "did not arrive in time"), SPENT),
    Case("big_body", C, send(b" " * 16385, None), 413, *invalid("body", "is too large"), SPENT),
    Case("type", C, send(b"{}", "text/plain"), 415, *invalid("Content-Type", "must be application/json"), SPENT),
    Case("charset", C, send(b"{}", "application/json; charset=latin-1"), 415,
         *invalid("Content-Type", "must have the charset utf-8"), SPENT),
    Case("writes_spent", C, cancel("spent"), 429, "rate_limited", LIMITED, BUDGET, {**RETRY, **SPENT}),
    Case("crash", C, cancel("with_broken_schema"), 500, "internal_error", "An unexpected error occurred.", {}, {}),
    Case("no_broker", C, cancel("without_broker"), 503, "unavailable", AWAY, {}, {**RETRY, **SPENT}),
    Case("no_postgres", C, cancel("without_postgres"), 503, "unavailable", AWAY, {}, RETRY),
    Case("key_of_another_run", CANCEL_RUN, keyed(f"{RUNS}/2/cancel"), 409, "conflict", _OTHER_RUN, _ID, SPENT),
    Case("accepted", F, get("alice", f"{RUNS}/1/force-cancel", "POST"), 202, None,
         "Cancellation of run 1 accepted.", None, LOCATION),
    Case("key_of_another_kind", F, keyed(f"{RUNS}/1/force-cancel"), 409, "conflict", _OTHER_KIND, _ID, SPENT),
    *refusals(F, f"{RUNS}/1/force-cancel", "runs:force", "runs:write"),
    *bad_bodies(F, f"{RUNS}/1/force-cancel", 16384),
    *_cancels(F, f"{RUNS}/1/force-cancel"),
    _no_run(F, f"{RUNS}/9317/force-cancel"),
    Case("list", L, get("alice", f"{RUNS}/1/cancellations"), 200, None, "", None, SPENT),
    Case("limit", L, get("alice", f"{RUNS}/1/cancellations?limit=1001"), 400,
         *invalid("limit", "must be given once, as an integer from 1 to 1000"), SPENT),
    *refusals(L, f"{RUNS}/1/cancellations", "runs:read", "runs:write"),
    _no_run(L, f"{RUNS}/9317/cancellations"),
    Case("one", K, get("alice", f"{RUNS}/1/cancellations/{COMMAND}"), 200, None, "", None, SPENT),
    Case("not_a_uuid", K, get("alice", f"{RUNS}/1/cancellations/x"), 400,
         *invalid("command_id", "must be a UUID"), SPENT),
    Case("wait", K, get("alice", f"{RUNS}/1/cancellations/{COMMAND}?wait=31"), 400,
         *invalid("wait", "must be given once, as seconds from 0 to 30"), SPENT),
    Case("not_received", K, get("alice", f"{RUNS}/1/cancellations/{UNKNOWN_COMMAND}"), 404, "not_found",
         f"Run 1 has no cancellation {UNKNOWN_COMMAND} on record.",
         {"resource": "cancellation", "id": UNKNOWN_COMMAND}, SPENT),
    *refusals(K, f"{RUNS}/1/cancellations/{COMMAND}", "runs:read", "runs:write"),
    _no_run(K, f"{RUNS}/9317/cancellations/{COMMAND}"),
    Case("bulk", B, get("alice", _BULK, "POST", json={"run_ids": [1, 9317]}), 202, None, "", None, SPENT),
    Case("two_forms", B, get("alice", _BULK, "POST", json={"run_ids": [1], "before_run": 2}), 400,
         *invalid("body", "must have either run_ids, or labels and before_run"), SPENT),
    *refusals(B, _BULK, "runs:bulk", "runs:write"),
    *bad_bodies(B, _BULK, 16384),
    *_cancels(B, _BULK, json={"run_ids": [1]}),
]  # fmt: skip
