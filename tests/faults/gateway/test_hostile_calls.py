"""The calls beside the plain cancel refuse hostile requests by what is wrong, and do nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

import pytest
import pytest_asyncio
from yarl import URL

from gateway.http.body import NOT_UTF8
from gateway.openapi.operations.events import STREAM_EVENTS
from tests.support.http.api import Api
from tests.support.http.event_stream import streaming
from tests.support.http.hostile_calls import CALLS, COMMAND, Call, HostileCall, hostile_calls
from tests.support.http.hostile_requests import RUN, TOKEN
from tests.support.http.raw_requests import RawAnswer, exchange
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

CODES: Final = {404: "not_found"}
BAD: Final = ("error", "critical")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """No worker: what the gateway publishes stays in the queue."""
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        await running.add_run(RUN)
        await running.database.execute(
            "INSERT INTO cancellations (command_id, run_id, via, force, outcome,"
            " finished_at) VALUES ($1, $2, 'rest', false, 'no_op', now())",
            *(UUID(COMMAND), RUN),
        )
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(system: System) -> Program:
    return await system.program(
        *("gateway", "serve", "--port", "0"),
        CANCEL_ANONYMOUS_LIMIT="1000000",
        CANCEL_BODY_TIMEOUT="0.1",  # what a request whose body never ends has to wait for
        CANCEL_CORS_ORIGINS="https://ci.example",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System, gateway: Program) -> Api:
    url = (await gateway.event("gateway_ready"))["url"]
    return Api(url, system.http, await system.token())


def _exchange_all(api: Api, requests: Sequence[bytes]) -> list[RawAnswer]:
    """The answers to requests that each end their connection."""
    port = URL(api.url).port or 0
    answers = []
    for request in requests:
        answer, *others = exchange(port, request.replace(TOKEN, api.token.encode()))
        assert others == [], request
        answers.append(answer)
    return answers


async def _state(system: System) -> tuple[Any, ...]:
    tables = ("runs", "cancellations", "outbox")
    rows = [await system.database.fetch(f"SELECT * FROM {it} ORDER BY 1") for it in tables]  # noqa: S608
    return (*rows, await system.depth(system.topology.rest))


@pytest.mark.parametrize("call", CALLS, ids=lambda it: it.operation.operation_id)
async def test_each_is_refused_by_what_is_wrong_and_nothing_is_done(
    system: System, gateway: Program, api: Api, call: Call
) -> None:
    hostile = list(hostile_calls(call))
    before = await _state(system)

    answers = await asyncio.to_thread(_exchange_all, api, [it.data for it in hostile])

    for request, answer in zip(hostile, answers, strict=True):
        _assert_refused(request, answer, call)
    assert await _state(system) == before
    assert [it for it in gateway.events if it["level"] in BAD or "exception" in it] == []
    assert gateway.output == []
    await _assert_taken(api, call)


def _assert_refused(request: HostileCall, answer: RawAnswer, call: Call) -> None:
    shown = (request.data[:300], answer.status, answer.body)
    assert answer.status == request.status, shown
    assert answer.status in call.operation.responses, shown
    error = answer.error
    assert error["code"] == CODES.get(answer.status, "validation_error"), shown
    named = error["details"].get("fields", {error["details"].get("resource")})
    assert request.names in named, shown


async def _assert_taken(api: Api, call: Call) -> None:
    if call.operation is STREAM_EVENTS:
        async with streaming(api) as stream:
            assert stream.response.status == 200
        return
    answer = await api.ask(call.operation.method.upper(), call.path, json=call.body)
    assert answer.status == call.status, answer.body


# Of one run each; none of them may keep the good ones around it from being registered.
BAD_RUNS: Final = {
    "NaN": "run",
    "[]": "run",
    '{"run_id": NaN}': "run_id",
    '{"run_id": 1e400}': "run_id",
    '{"run_id": -0}': "run_id",
    '{"run_id": 52.0}': "run_id",
    '{"run_id": %s}' % ("1" * 4300): "run_id",
    '{"run_id": 53, "grace_seconds": 1e400}': "grace_seconds",
    '{"run_id": 53, "grace_seconds": %s}' % ("1" * 4300): "run_id",  # 53 comes a second time
    '{"run_id": 54, "labels": {"a": "\\u0000"}}': "labels.a",
    '{"run_id": 55, "labels": {"\\u0000": ""}}': "labels.\0",
    '{"run_id": 56, "labels": %s}' % ('{"a":' * 150 + "1" + "}" * 150): "labels.a",
    '{"run_id": 57, "url": "https://x/\\u0000"}': "url",
    '{"run_id": 50, "grace_seconds": 5}': "run_id",
}


async def test_a_hostile_run_of_a_batch_is_invalid_alone(system: System, api: Api) -> None:
    runs = ", ".join(('{"run_id": 50}', *BAD_RUNS, '{"run_id": 51}'))
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}

    answer = await api.ask("POST", "/api/v1/runs", data=f'{{"runs": [{runs}]}}', headers=headers)

    assert answer.status == 200, answer.body
    first, *invalid, last = answer.body["results"]
    assert (first, last) == tuple({"run_id": it, "result": "created"} for it in (50, 51))
    assert [it["result"] for it in invalid] == ["invalid"] * len(BAD_RUNS)
    assert [[*it["fields"]] for it in invalid] == [[field] for field in BAD_RUNS.values()]
    assert await system.database.fetchval(
        "SELECT array_agg(run_id ORDER BY run_id) FROM runs WHERE run_id BETWEEN 50 AND 60"
    ) == [50, 51]


HARMLESS: Final = (
    *(b"X-Command-Id: %b\r\nX-Command-Id: x" % COMMAND.encode(), b"Origin: null"),
    *(
        b"Origin: https://ci.example.evil.example",
        b"Origin: https://ci.example:443",
        b"Origin: \xff",
    ),
    *(b"Origin: https://ci.example, https://ci.example", b"Origin: HTTPS://CI.EXAMPLE", b"Origin:"),
    *(b"Accept: text/html;q=2, ,,", b"Accept: \xff", b"Accept:", b"Accept: x\r\nAccept: y"),
    *(
        b"Last-Event-ID: %b" % (b"9" * 7000),
        b"Last-Event-ID: \xff",
        b"X-Request-Id: " + b"x" * 5000,
    ),
)


async def test_headers_that_a_call_does_not_have_change_nothing(api: Api) -> None:
    line = b"POST /api/v1/runs/%d/force-cancel HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % RUN
    head = line + b"Content-Length: 0\r\nAuthorization: Bearer " + TOKEN + b"\r\n"
    requests = [head + it + b"\r\n\r\n" for it in HARMLESS]

    answers = await asyncio.to_thread(_exchange_all, api, requests)

    assert [it.status for it in answers] == [202] * len(HARMLESS)
    ids = {it.headers["X-Command-Id"] for it in answers}
    assert len(ids) == len(HARMLESS)
    assert COMMAND not in ids
    assert not any("Access-Control-Allow-Origin" in it.headers for it in answers)
    assert all(json.loads(it.body)["status"] == "accepted" for it in answers)


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        *(("{}".encode(it), "body", NOT_UTF8) for it in ("utf-8-sig", "utf-16")),
        (b"[" * 300, "body", "Invalid JSON: nested too deeply at line 1 column 202"),
        (b"", "body.runs", "is required"),
        (b'{"runs": []}', "body.runs", "must have at least 1 item, not 0"),
    ],
)
async def test_what_is_wrong_with_a_body_is_told_in_plain_words(
    api: Api, body: bytes, field: str, problem: str
) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}

    answer = await api.ask("POST", "/api/v1/runs", data=body, headers=headers)

    assert answer.error == (400, "validation_error")
    assert answer.body["details"] == {"fields": {field: problem}}
