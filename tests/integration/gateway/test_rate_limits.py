"""How many requests get through, and how the others are told when to come back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from time import time

import aiohttp
import pytest
import pytest_asyncio

from gateway.auth.access import Scope, new_token
from shared.tokens import Role
from tests.support.http.api import Answer, Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")
host_numbers = count(2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """No worker: run 1 stays queued."""
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        await running.add_run(1)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(system: System) -> tuple[str, str]:
    """Two gateway processes with the limits as they are by default."""
    return await system.gateway(), await system.gateway()


@asynccontextmanager
async def _client(url: str, token: str) -> AsyncIterator[Api]:
    """A client with an address of its own, and so with a budget of its own without a token."""
    address = f"127.0.7.{next(host_numbers)}"
    connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Api(url, http, token)


@pytest_asyncio.fixture(loop_scope="module")
async def api(system: System, gateways: tuple[str, str]) -> AsyncIterator[Api]:
    async with _client(gateways[0], await system.token(limit=None)) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(gateways: tuple[str, str]) -> AsyncIterator[Api]:
    async with _client(gateways[0], new_token()) as client:
        yield client


def _budget(answer: Answer) -> tuple[int, int]:
    reset = int(answer.headers["X-RateLimit-Reset"])
    assert time() - 2 <= reset <= time() + 62
    return int(answer.headers["X-RateLimit-Limit"]), int(answer.headers["X-RateLimit-Remaining"])


async def _of_200_at_once(
    system: System, gateways: tuple[str, str], method: str, path: str
) -> Counter[int]:
    token = await system.token(limit=None)
    first, second = (Api(url, system.http, token) for url in gateways)
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task((first, second)[number % 2].ask(method, path))
            for number in range(200)
        ]
    return Counter(task.result().status for task in asked)


async def test_of_200_writes_at_once_through_two_gateways_exactly_the_limit_gets_through(
    system: System, gateways: tuple[str, str]
) -> None:
    statuses = await _of_200_at_once(system, gateways, "POST", "/api/v1/runs/1/cancel")

    assert statuses == {202: 20, 429: 180}


async def test_of_200_reads_at_once_through_two_gateways_exactly_the_limit_gets_through(
    system: System, gateways: tuple[str, str]
) -> None:
    statuses = await _of_200_at_once(system, gateways, "GET", "/api/v1/runs/1")

    assert statuses == {200: 120, 429: 80}


async def test_every_answer_says_what_is_left(api: Api) -> None:
    answers = [await api.cancel(1) for _ in range(3)]

    assert [_budget(answer) for answer in answers] == [(20, 19), (20, 18), (20, 17)]
    assert len({answer.headers["X-RateLimit-Reset"] for answer in answers}) == 1


async def test_reads_and_writes_have_budgets_of_their_own(api: Api) -> None:
    await api.cancel(1)

    assert _budget(await api.ask("GET", "/api/v1/runs/1")) == (120, 119)
    assert _budget(await api.cancel(1)) == (20, 18)


async def test_registering_has_a_budget_of_its_own_and_a_batch_counts_once(api: Api) -> None:
    batch = {"runs": [{"run_id": run_id} for run_id in range(1, 101)]}

    answers = [
        await api.ask("PUT", "/api/v1/runs/1"),
        await api.ask("POST", "/api/v1/runs", json=batch),
        await api.ask("POST", "/api/v1/runs", json={"runs": []}),
    ]

    assert [answer.status for answer in answers] == [200, 200, 400]
    assert [_budget(answer) for answer in answers] == [(600, 599), (600, 598), (600, 597)]
    assert _budget(await api.cancel(1)) == (20, 19)
    assert _budget(await api.ask("GET", "/api/v1/runs")) == (120, 119)


async def test_nothing_is_registered_over_the_limit(system: System, api: Api) -> None:
    limited = Api(api.url, api.http, await system.token(limit=1))
    await limited.ask("PUT", "/api/v1/runs/1")

    put = await limited.ask("PUT", "/api/v1/runs/8001")
    post = await limited.ask("POST", "/api/v1/runs", json={"runs": [{"run_id": 8001}]})

    assert (put.status, post.status) == (429, 429)
    assert (await api.ask("GET", "/api/v1/runs/8001")).status == 404


async def test_each_token_has_a_budget_of_its_own(system: System, api: Api) -> None:
    await api.cancel(1)
    other = Api(api.url, api.http, await system.token(limit=None))

    assert _budget(await other.cancel(1)) == (20, 19)


async def test_a_token_may_have_limits_of_its_own(system: System, api: Api) -> None:
    options = ("--rate-limit", "2", "--read-rate-limit", "3", "--register-rate-limit", "1")
    scopes = [word for scope in Scope for word in ("--scope", scope)]
    _, out, _ = await system.cli(
        *("gateway", "tokens", "create", "--subject", "own"), *options, *scopes
    )
    own = Api(api.url, api.http, out.strip())

    writes = [(await own.cancel(1)).status for _ in range(3)]
    reads = [(await own.ask("GET", "/api/v1/runs/1")).status for _ in range(4)]

    registers = [(await own.ask("PUT", "/api/v1/runs/1")).status for _ in range(2)]

    assert writes == [202, 202, 429]
    assert registers == [200, 429]
    assert reads == [200, 200, 200, 429]


async def test_429_says_when_to_come_back(system: System, api: Api) -> None:
    limited = Api(api.url, api.http, await system.token(limit=1))
    await limited.cancel(1)

    answer = await limited.cancel(1)

    assert answer.error == (429, "rate_limited")
    retry_after = answer.body["details"].pop("retry_after")
    assert answer.body["details"] == {"limit": 1, "window": "60s"}
    assert answer.headers["Retry-After"] == str(retry_after)
    assert 58 <= retry_after <= 60
    assert _budget(answer) == (1, 0)
    assert abs(int(answer.headers["X-RateLimit-Reset"]) - (time() + retry_after)) <= 2


async def test_nothing_is_published_for_a_request_over_the_limit(system: System, api: Api) -> None:
    limited = Api(api.url, api.http, await system.token(limit=1))
    await limited.cancel(1)
    before = await system.depth(system.topology.rest)

    assert (await limited.cancel(1)).status == 429
    assert await system.depth(system.topology.rest) == before


async def test_a_refused_request_has_spent_as_well(system: System, api: Api) -> None:
    user = Api(api.url, api.http, await system.token(role=Role.USER, limit=None))

    assert _budget(await user.cancel(1)) == (20, 19)
    assert (await api.cancel("abc")).status == 400
    assert (await api.cancel(404)).status == 404
    assert (await api.ask("POST", "/api/v1/nowhere")).status == 404
    assert (await api.ask("DELETE", "/api/v1/runs/1")).status == 405
    assert _budget(await api.cancel(1)) == (20, 15)


async def test_the_limit_comes_before_all_other_checks_of_a_token(system: System, api: Api) -> None:
    token = await system.token(role=Role.USER, scopes=(Scope.RUNS_READ,), limit=1)
    limited = Api(api.url, api.http, token)

    assert (await limited.cancel("abc")).status == 403
    assert (await limited.cancel("abc")).status == 429


async def test_failed_authentication_is_limited_and_a_valid_token_is_not_in_its_way(
    stranger: Api, api: Api
) -> None:
    statuses = [(await stranger.cancel(1)).status for _ in range(22)]

    assert statuses == [401] * 20 + [429] * 2
    neighbor = Api(stranger.url, stranger.http, api.token)
    assert (await neighbor.cancel(1)).status == 202


async def test_the_limit_of_an_address_is_told_as_well(stranger: Api) -> None:
    answer = await stranger.cancel(1)

    assert answer.status == 401
    assert _budget(answer) == (20, 19)


async def test_requests_without_a_token_are_limited_whatever_they_ask_for(stranger: Api) -> None:
    asked = [("GET", "/api/v1/runs/1"), ("GET", "/api/v1/nope"), ("DELETE", "/api/v1/runs/1")] * 8

    answers = [await stranger.ask(method, path, headers={}) for method, path in asked]

    assert [answer.status for answer in answers] == [401, 404, 405] * 6 + [401, 404] + [429] * 4


async def test_the_budget_of_an_address_holds_in_all_gateways(
    gateways: tuple[str, str], stranger: Api
) -> None:
    elsewhere = Api(gateways[1], stranger.http, stranger.token)
    for _ in range(20):
        await stranger.cancel(1)

    assert (await elsewhere.cancel(1)).status == 429


async def test_a_client_gets_no_other_budget_by_saying_to_speak_for_another(stranger: Api) -> None:
    statuses = [
        (await stranger.cancel(1, headers={"X-Forwarded-For": f"192.0.2.{number}"})).status
        for number in range(21)
    ]

    assert statuses[-1] == 429


async def test_behind_a_trusted_proxy_each_client_has_its_budget(system: System) -> None:
    url = await system.gateway(trusted_proxies="127.0.7.0/24", anonymous_limit=1)
    async with _client(url, new_token()) as proxy:
        statuses = [
            (await proxy.cancel(1, headers={"X-Forwarded-For": client})).status
            for client in ("192.0.2.1", "192.0.2.2", "9.9.9.9, 192.0.2.1", "192.0.2.2, 127.0.7.99")
        ]

    assert statuses == [401, 401, 429, 429]


async def test_pages_that_need_no_token_are_not_limited(stranger: Api) -> None:
    for _ in range(21):
        await stranger.ask("GET", "/api/v1/nope")

    for path in ("/api/v1/openapi.json", "/healthz", "/readyz"):
        assert (await stranger.ask("GET", path)).status == 200
