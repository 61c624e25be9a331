"""Each status of the contract, its envelope and its headers, as in `support/http/contract.py`."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg
import jsonschema_rs
import pytest
import pytest_asyncio
from yarl import URL

from gateway.auth.access import Scope, new_token
from gateway.openapi.operations import OPERATIONS
from gateway.openapi.operations.model import Operation
from shared.tokens import Role
from tests.support.http.api import Answer, Api
from tests.support.http.contract import CASES
from tests.support.http.contract.case import COMMAND, SPENT, Callers, Case
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.services.databases import new_database
from tools.support.proxy import TcpProxy
from tools.support.rows import PASS, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMED = {"X-Request-Id", "Retry-After", "WWW-Authenticate", "Location", "X-Command-Id", "Link"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        await running.add_run(1)
        await insert_run(running.database, 2, PASS)
        await running.database.execute(
            "INSERT INTO cancellations (command_id, run_id, via, force, outcome,"
            " finished_at) VALUES ($1, 1, 'rest', false, 'no_op', now())",
            COMMAND,
        )
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(services: Services, template: str, system: System) -> AsyncIterator[Callers]:
    amqp, postgres = TcpProxy(system.amqp_url), TcpProxy(system.database_url)
    await amqp.listen()
    await postgres.listen()
    async with new_database(services, template) as broken_url:
        alice = Api(await system.gateway(body_timeout=0.3), system.http, await system.token())

        async def caller(role: Role = Role.TESTER, *scopes: Scope, limit: int = 100) -> Api:
            return Api(alice.url, alice.http, await system.token(role, scopes, limit=limit))

        async def elsewhere(**env: str) -> Api:
            program = await system.program("gateway", "serve", "--port", "0", **env)
            return Api((await program.event("gateway_ready"))["url"], alice.http, alice.token)

        spent = await caller(Role.TESTER, *Scope, limit=1)
        await spent.cancel(1)
        await spent.ask("GET", "/api/v1/runs/1")
        await spent.ask("PUT", "/api/v1/runs/1")
        built = Callers(
            alice=alice,
            user=await caller(Role.USER, *Scope),
            reader=await caller(Role.TESTER, Scope.RUNS_READ),
            writer=await caller(Role.TESTER, Scope.RUNS_WRITE),
            spent=spent,
            stranger=Api(alice.url, alice.http, new_token()),
            without_broker=await elsewhere(AMQP_URL=amqp.proxied, CANCEL_CONFIRM_TIMEOUT="0.5"),
            without_postgres=await elsewhere(DATABASE_URL=postgres.proxied),
            with_broken_schema=await elsewhere(DATABASE_URL=broken_url),
            document=(await alice.ask("GET", "/api/v1/openapi.json", headers={})).body,
        )
        # Spent for as long as the test may take.
        await system.database.execute(
            "UPDATE rate_windows SET resets_at = now() + interval '60 s' WHERE used >= 1"
        )
        for proxy in (amqp, postgres):
            proxy.refuse()
            await proxy.cut()
        await _break_schema(broken_url)
        yield built
    await amqp.close()
    await postgres.close()


async def _break_schema(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TABLE tokens RENAME TO tokens_elsewhere")
    await connection.close()


def _name(case: Case) -> str:
    operation = case.operation.operation_id if case.operation else "any"
    return f"{operation}-{case.status}-{case.cause}"


@pytest.mark.parametrize("case", CASES, ids=_name)
async def test_each_cause_has_its_status_its_envelope_and_its_headers(
    callers: Callers, case: Case
) -> None:
    answer = await case.ask(callers)

    assert answer.status == case.status
    assert answer.headers["Content-Type"] == case.content_type
    for name, pattern in {"X-Request-Id": r"[0-9a-f]{32}", **case.headers}.items():
        assert re.fullmatch(pattern, answer.headers[name]), (name, answer.headers[name])
    for name in {*SPENT, *NAMED} - {"X-Request-Id", *case.headers}:
        assert name not in answer.headers
    if case.code is not None:
        _is_envelope(answer, case)
    elif isinstance(answer.body, dict):
        assert answer.body.get("message", "") == case.message
    if case.operation is not None:
        _is_documented(answer, callers.document, case.operation)


def _is_envelope(answer: Answer, case: Case) -> None:
    assert answer.error == (case.status, case.code)
    details = dict(case.details or {})
    if "retry_after" in details:
        details["retry_after"] = int(answer.headers["Retry-After"])
    assert answer.body["details"] == details
    assert answer.body["message"] == case.message.format(details.get("retry_after"))


def _is_documented(answer: Answer, document: Mapping[str, Any], operation: Operation) -> None:
    described = document["paths"][operation.path][operation.method]["responses"]
    documented = described[str(answer.status)]
    schema = documented["content"][answer.headers["Content-Type"]]["schema"]
    jsonschema_rs.validate({**schema, "components": document["components"]}, answer.body)
    required = {name for name, header in documented["headers"].items() if header["required"]}
    ours = {name for name in {*SPENT, *NAMED} if name in answer.headers}
    assert required <= ours <= {*documented["headers"]}


async def test_every_documented_status_has_a_cause_above_and_the_other_way_round() -> None:
    documented = {(it.operation_id, status) for it in OPERATIONS for status in it.responses}

    assert documented == {(it.operation.operation_id, it.status) for it in CASES if it.operation}


async def test_a_head_request_gets_the_headers_alone(callers: Callers) -> None:
    answer = await callers.alice.ask("HEAD", "/api/v1/runs/1")

    assert (answer.status, answer.body) == (200, None)
    assert "X-RateLimit-Limit" in answer.headers


@pytest.mark.parametrize("path", ["/api/v1/docs", "/api/v1/openapi.json", "/api/v1/runs/1"])
async def test_no_answer_says_what_the_server_is_made_of(callers: Callers, path: str) -> None:
    answer = await callers.alice.http.get(URL(callers.alice.url) / path.lstrip("/"))

    assert answer.headers["Server"] == "cancel-gateway"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
