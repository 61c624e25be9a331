"""CORS: none by default; with CANCEL_CORS_ORIGINS, all responses of the API have its headers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from yarl import URL

from tests.support.http.api import Answer, Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import DEADLINE
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "https://ci.example.com"
CANCEL = "/api/v1/runs/1/cancel"
ALLOWED = {
    *("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-Id"),
}
EXPOSED = {
    *("X-Request-Id", "X-Command-Id", "Retry-After", "Location", "Link"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        await running.add_run(1)
        yield running


async def _gateway(system: System, **settings: object) -> Api:
    return Api(await system.gateway(**settings), system.http, await system.token())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    return await _gateway(system, cors_origins=f"{PAGE}, http://localhost:3000", anonymous_limit=5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def without(system: System) -> Api:
    return await _gateway(system)


def _preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization",
    }


def _names(answer: Answer, header: str) -> set[str]:
    return set(answer.headers[header].split(", "))


async def test_a_preflight_costs_no_budget_and_no_token(api: Api) -> None:
    for _ in range(10):  # more than the budget of the address
        answer = await api.ask("OPTIONS", CANCEL, headers=_preflight(PAGE))

        assert (answer.status, answer.body) == (204, None)
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Vary"] == "Origin"
    assert _names(answer, "Access-Control-Allow-Methods") == {"POST"}
    assert _names(answer, "Access-Control-Allow-Headers") == ALLOWED
    assert "X-RateLimit-Limit" not in answer.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_every_response_to_an_allowed_page_has_the_headers(system: System, api: Api) -> None:
    token = {"Authorization": f"Bearer {api.token}"}
    spent = {"Authorization": f"Bearer {await system.token(limit=1)}"}
    asked = [
        (202, "POST", CANCEL, token),
        (202, "POST", CANCEL, spent),
        (429, "POST", CANCEL, spent),
        (401, "POST", CANCEL, {}),
        (404, "GET", "/api/v1/runs/9317", token),
        (404, "GET", "/api/v1/nowhere", token),
        (405, "PUT", CANCEL, token),
        (400, "GET", f"/api/v1/runs/{'x' * 100}", token),
    ]
    for status, method, path, headers in asked:
        answer = await api.ask(method, path, headers={**headers, "Origin": PAGE})

        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Vary"] == "Origin"
        assert _names(answer, "Access-Control-Expose-Headers") == EXPOSED
    big = await api.ask("POST", CANCEL, data=b" " * 16385, headers={**token, "Origin": PAGE})
    assert (big.status, big.headers["Access-Control-Allow-Origin"]) == (413, PAGE)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        "https://ci.example.com.evil.com",
        "http://ci.example.com",
        "https://ci.example.com:8443",
        "HTTPS://CI.EXAMPLE.COM",
        "null",
        "",
        "*",
    ],
)
async def test_another_origin_gets_none_and_its_preflight_is_405(api: Api, origin: str) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "Origin": origin}
    answer = await api.ask("GET", "/api/v1/runs/1", headers=headers)
    preflight = await api.ask("OPTIONS", CANCEL, headers={**headers, **_preflight(origin)})

    assert answer.status == 200
    assert preflight.error == (405, "method_not_allowed")
    for it in (answer, preflight):
        assert "Access-Control-Allow-Origin" not in it.headers
        assert it.headers["Vary"] == "Origin"  # the next one may be allowed


async def test_options_that_is_no_preflight_is_405(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "Origin": PAGE}

    answer = await api.ask("OPTIONS", CANCEL, headers=headers)

    assert answer.error == (405, "method_not_allowed")


async def test_a_preflight_of_what_is_not_there_is_404_and_the_page_may_read_it(api: Api) -> None:
    answer = await api.ask("OPTIONS", "/api/v1/nowhere", headers=_preflight(PAGE))

    assert answer.error == (404, "not_found")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Access-Control-Allow-Methods" not in answer.headers


async def test_monitoring_is_not_for_pages(api: Api) -> None:
    answer = await api.http.get(URL(api.url) / "metrics", headers={"Origin": PAGE})
    preflight = await api.ask("OPTIONS", "/metrics", headers=_preflight(PAGE, "GET"))

    assert (answer.status, preflight.status) == (200, 405)
    for headers in (answer.headers, preflight.headers):
        assert not [name for name in headers if name.startswith("Access-Control")]


async def test_by_default_there_is_nothing_of_it(without: Api) -> None:
    headers = {"Authorization": f"Bearer {without.token}", "Origin": PAGE}

    for answer in (
        await without.ask("GET", "/api/v1/runs/1", headers=headers),
        await without.ask("OPTIONS", CANCEL, headers={**headers, **_preflight(PAGE)}),
    ):
        assert answer.status in (200, 405)
        assert not [name for name in answer.headers if name.startswith("Access-Control")]
        assert "Vary" not in answer.headers


async def test_a_star_allows_every_page_also_when_the_request_cannot_be_read(
    system: System,
) -> None:
    api = await _gateway(system, cors_origins="*")
    answer = await api.ask("OPTIONS", CANCEL, headers=_preflight("https://any.example.com"))
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
    url = URL(api.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"no http\r\n\r\n")

    async with asyncio.timeout(DEADLINE):
        raw = await reader.read()
    writer.close()

    assert raw.split()[1] == b"400"
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in raw
