"""A query parameter that a call does not have is refused: it would be without effect."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import pytest
import pytest_asyncio
from yarl import URL

from gateway.auth.access import Scope, new_token
from gateway.openapi.operations import OPERATIONS
from gateway.openapi.operations.model import Operation
from gateway.schemas import API
from shared.tokens import Role
from tests.support.http.api import Api
from tests.support.http.routes import routes
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import DEADLINE
from tools.support.rows import PASS, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANCEL: Final = "/api/v1/runs/1/cancel"
RUN: Final = "/api/v1/runs/1"
UNKNOWN: Final = "is not a parameter of this request"
NAMELESS: Final = {"query": "has a parameter without a name"}
WAIT: Final = {"wait": "must be given once, as seconds from 0 to 30"}
# What stands in a path for each part of it that is not fixed.
PARTS: Final = {
    "run_id": "1",
    "command_id": "6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11",
    "name": "swagger-ui.css",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """No worker: what the gateway publishes stays in the queue."""
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        await insert_run(running.database, 1, PASS)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    return Api(await system.gateway(anonymous_limit=1000), system.http, await system.token())


def _fields(body: Any) -> Mapping[str, str]:
    fields: Mapping[str, str] = body["details"]["fields"]
    return fields


@pytest.mark.parametrize(
    ("query", "names"),
    [
        *(("force=true", ["force"]), ("force", ["force"]), ("force=", ["force"])),
        *(("wait=5", ["wait"]), ("Wait=5", ["Wait"]), ("wait[]=5", ["wait[]"])),
        *(("force=1&force=0", ["force"]), ("b&a", ["b", "a"]), ("&a&&b&", ["a", "b"])),
        *(("%66orce=1", ["force"]), ("a%26b=1", ["a&b"]), ("%3D=1", ["="]), ("?a=1", ["?a"])),
        *(("+=1", [" "]), ("%00=1", ["\0"]), ("%0A=1", ["\n"]), ("%=1", ["%"])),
        *(("%FF=1", ["\N{REPLACEMENT CHARACTER}"]), ("%C3%A9=1", ["é"])),
        *(("a;b=1", ["a;b"]), ("a=1;b=2", ["a"]), (";force=true", [";force"])),
        *(("reason=superseded", ["reason"]), ("run_id=2", ["run_id"]), ("token=x", ["token"])),
    ],
)
async def test_a_parameter_that_a_cancel_does_not_have_is_named_and_nothing_is_published(
    system: System, api: Api, query: str, names: list[str]
) -> None:
    answer = await api.ask("POST", f"{CANCEL}?{query}")

    assert answer.error == (400, "validation_error")
    assert _fields(answer.body) == dict.fromkeys(names, UNKNOWN)
    assert f"{names[0]}: {UNKNOWN}" in answer.body["message"]
    assert await system.depth(system.topology.rest) == 0


@pytest.mark.parametrize("query", ["=1", "=", "=&=", "&=1&"])
async def test_a_parameter_without_a_name_is_refused_likewise(api: Api, query: str) -> None:
    for method, path in (("POST", CANCEL), ("GET", RUN)):
        answer = await api.ask(method, f"{path}?{query}")

        assert answer.error == (400, "validation_error")
        assert _fields(answer.body) == NAMELESS


@pytest.mark.parametrize("query", ["", "&", "&&&"])
async def test_a_query_that_says_nothing_is_none(system: System, api: Api, query: str) -> None:
    assert (await api.ask("GET", f"{RUN}?{query}")).status == 200
    assert (await api.ask("POST", f"{CANCEL}?{query}")).status == 202

    await system.purge(system.topology.rest)


async def test_all_that_is_wrong_with_a_query_is_said_at_once(api: Api) -> None:
    answer = await api.ask("GET", f"{RUN}?force=1&wait=31&=")

    assert answer.error == (400, "validation_error")
    assert _fields(answer.body) == {"force": UNKNOWN, **NAMELESS, **WAIT}


@pytest.mark.parametrize("query", ["wait=0&force=1", "force=1&wait=0", "wait=0&Wait=0"])
async def test_one_that_the_call_has_makes_no_other_one_known(api: Api, query: str) -> None:
    answer = await api.ask("GET", f"{RUN}?{query}")

    assert answer.error == (400, "validation_error")
    assert list(_fields(answer.body).values()) == [UNKNOWN]


async def test_very_many_are_answered_by_the_first_of_them_and_a_number(api: Api) -> None:
    many = [f"p{number}" for number in range(1400)]

    answer = await api.ask("POST", f"{CANCEL}?{'&'.join(many)}")

    assert answer.error == (400, "validation_error")
    assert _fields(answer.body) == {**dict.fromkeys(many[:20], UNKNOWN), "…": "1380 more"}


async def test_a_very_long_name_is_cut(api: Api) -> None:
    answer = await api.ask("POST", f"{CANCEL}?{'x' * 8000}=1")

    assert answer.error == (400, "validation_error")
    assert _fields(answer.body) == {f"{'x' * 99}…": UNKNOWN}


async def test_very_many_unknown_keys_of_a_body_are_told_likewise(api: Api) -> None:
    body = {f"k{number}": 1 for number in range(1000)} | {"x" * 5000: 1}

    answer = await api.cancel(1, body)

    assert answer.error == (400, "validation_error")
    assert len(_fields(answer.body)) == 21
    assert _fields(answer.body)["…"] == "981 more"


async def test_no_route_below_the_api_takes_a_parameter_that_it_does_not_have(
    system: System, api: Api
) -> None:
    below = sorted((method, path) for method, path in await routes(system) if path.startswith(API))
    assert len(below) >= 10

    for method, path in below:
        answer = await api.ask(method, f"{path.format(**PARTS)}?no-such-parameter=1")

        assert answer.status == 400, (method, path)
        if method != "HEAD":
            assert answer.error == (400, "validation_error")
            assert _fields(answer.body) == {"no-such-parameter": UNKNOWN}, (method, path)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda it: it.operation_id)
async def test_what_the_document_says_of_a_query_is_known_and_nothing_else(
    api: Api, operation: Operation
) -> None:
    documented = {it["name"] for it in operation.parameters if it["in"] == "query"}
    elsewhere = {
        it["name"] for one in OPERATIONS for it in one.parameters if it["in"] == "query"
    } - documented
    query = "&".join(f"{name}=%00" for name in sorted(documented | elsewhere))

    answer = await api.ask(operation.method, f"{operation.path.format(**PARTS)}?{query}")

    assert answer.error == (400, "validation_error")
    fields = _fields(answer.body)
    assert {name for name, problem in fields.items() if problem == UNKNOWN} == elsewhere
    assert set(fields) == documented | elsewhere


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("GET", "/api/v1/run?limit=1", (404, "not_found")),
        ("GET", "/api/v1/docs/none.css?v=1", (404, "not_found")),
        ("GET", "/api/v1/docs/?v=1", (404, "not_found")),
        ("GET", f"{CANCEL}?force=true", (405, "method_not_allowed")),
        ("POST", f"{RUN}?force=true", (405, "method_not_allowed")),
        ("POST", "/api/v1/docs?v=1", (405, "method_not_allowed")),
    ],
)
async def test_a_path_or_method_that_is_not_there_is_told_first(
    api: Api, method: str, path: str, error: tuple[int, str]
) -> None:
    assert (await api.ask(method, path)).error == error


async def test_the_checks_come_in_their_order_with_the_query_between_path_and_body(
    system: System, api: Api
) -> None:
    async def caller(role: Role, *scopes: Scope, limit: int = 100) -> Api:
        return Api(api.url, api.http, await system.token(role, scopes, limit=limit))

    async def asked(who: Api, run: object) -> Any:
        answer = await who.ask(
            "POST",
            f"/api/v1/runs/{run}/cancel?force=true",
            data=b"[",
            headers={"Authorization": f"Bearer {who.token}", "Content-Type": "text/plain"},
        )
        details = answer.body["details"]
        return (answer.status, *details, *details.get("fields", ()))

    spent = await caller(Role.TESTER, *Scope, limit=1)
    await spent.cancel(404)

    assert (await asked(Api(api.url, api.http, new_token()), "x"))[0] == 401
    assert (await asked(spent, "x"))[0] == 429
    assert (await asked(await caller(Role.USER), "x")) == (403, "required_roles", "user_role")
    assert (await asked(await caller(Role.TESTER), "x"))[:2] == (403, "required_scope")
    for run, named in (("x", "run_id"), (1, "force"), (404, "force"), (2**63, "force")):
        assert await asked(api, run) == (400, "fields", named)


@pytest.mark.parametrize("name", [b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"a\x01", b"a\x7f"])
async def test_raw_bytes_that_belong_percent_encoded_are_400_too(api: Api, name: bytes) -> None:
    url = URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        b"POST %b?%b=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n"
        b"Authorization: Bearer %b\r\n\r\n" % (CANCEL.encode(), name, api.token.encode())
    )

    async with asyncio.timeout(DEADLINE):
        answer = await reader.read()
    writer.close()

    assert answer.split()[1] == b"400"
    assert b'"code":"validation_error"' in answer
