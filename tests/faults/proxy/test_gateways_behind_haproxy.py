"""Two gateways behind haproxy, as deploy/haproxy configures it: restarts cost no request."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

import aiohttp
import pytest

from tests.support.http.api import Api
from tests.support.http.callers import Callers
from tests.support.network.haproxy import CONFIGURATION, SERVERS, Haproxy, haproxy
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.rows import RUNNING, insert_run
from tools.support.system import System

DRAIN: Final = 2.5
"""Seconds. Until haproxy has seen it, 1.5 s pass."""
CALLERS: Final = 20
UNENDING: Final = 1
CLIENT: Final = "127.0.0.2"
FORGED: Final = "203.0.113.9"


@pytest.fixture
def proxy() -> Iterator[Haproxy]:
    with haproxy() as started:
        yield started


@pytest.fixture
def strict_proxy() -> Iterator[Haproxy]:
    """Without the second attempts that would hide a connection closed under a request."""
    second = "retry-on conn-failure empty-response"
    configuration = CONFIGURATION.read_text()
    assert second in configuration
    with haproxy(configuration.replace(second, "retry-on conn-failure")) as started:
        yield started


@pytest.fixture
async def api(system: System, proxy: Haproxy) -> AsyncIterator[Api]:
    async with _calling(system, proxy) as api:
        yield api


@asynccontextmanager
async def _calling(system: System, proxy: Haproxy) -> AsyncIterator[Api]:
    """For callers that keep their connections."""
    trusted = ssl.create_default_context(cafile=str(proxy.ca))
    # From an address that is not the proxy's.
    connector = aiohttp.TCPConnector(ssl=trusted, limit=0, local_addr=(CLIENT, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Api(proxy.url, session, await system.token())


async def _gateway(
    system: System, proxy: Haproxy, name: str, drain: float = DRAIN, **env: str
) -> Program:
    """Start a gateway where haproxy expects it, and wait until haproxy uses it."""
    port = str(proxy.ports[name])
    own = {"CANCEL_TRUSTED_PROXIES": "127.0.0.1", "CANCEL_GATEWAY_DRAIN_DURATION": str(drain)}
    program = await system.program("gateway", "serve", "--port", port, **own, **env)
    await program.event("events_subscribed")
    await proxy.becomes(name, "UP")
    return program


@asynccontextmanager
async def _called(
    system: System, proxy: Haproxy, api: Api, followers: int = 3
) -> AsyncIterator[Callers]:
    """Calls of all kinds, all the time; afterwards, not one of them has failed."""
    await system.worker()
    await insert_run(system.database, UNENDING, RUNNING)
    callers = Callers(api)
    async with asyncio.TaskGroup() as tasks:
        following = [tasks.create_task(callers.follow()) for _ in range(followers)]
        calling = [tasks.create_task(callers.call()) for _ in range(CALLERS)]
        calling += [tasks.create_task(callers.wait_for(UNENDING)) for _ in range(3)]
        await callers.requests(300)
        began = monotonic()
        yield callers
        ended = monotonic()
        await callers.requests(300)
        callers.is_over = True
        await asyncio.gather(*calling)
        callers.have_ended = True
        # The last event, by which the streams notice that it is over.
        await api.ask("PUT", "/api/v1/runs/2", json={})
        await api.cancel(2)
    print(f"before: {callers.figures(0, began)}")
    print(f"meanwhile: {callers.figures(began, ended)}, in {ended - began:.1f} s")
    print(f"waits: {callers.waits}, streams continued: {callers.reconnects}")
    assert not callers.failed
    assert not proxy.failed()
    for follower in following:
        assert follower.result().issuperset(callers.canceled)


async def test_gateways_restarted_in_turn_cost_no_request(
    system: System, strict_proxy: Haproxy
) -> None:
    proxy = strict_proxy
    gateways = {name: await _gateway(system, proxy, name) for name in SERVERS}
    async with _calling(system, proxy) as api, _called(system, proxy, api) as callers:
        for name in SERVERS:
            gateways[name].process.terminate()
            await gateways[name].event("gateway_draining")
            assert await gateways[name].wait() == 0
            await _gateway(system, proxy, name)
            await callers.requests(100)


async def test_a_gateway_drained_by_its_operator_costs_no_request(
    system: System, proxy: Haproxy, api: Api
) -> None:
    gateways = {name: await _gateway(system, proxy, name, drain=0) for name in SERVERS}
    async with _called(system, proxy, api) as callers:
        await proxy.ask("set server gateways/gateway1 state drain")
        await proxy.becomes("gateway1", "DRAIN")
        # Only streams and those who wait for a run are still there.
        await callers.requests(100)
        assert await gateways["gateway1"].stop() == 0
        await proxy.becomes("gateway1", "DOWN")
        await proxy.ask("set server gateways/gateway1 state ready")
        await _gateway(system, proxy, "gateway1", drain=0)
        await callers.requests(100)


async def test_a_gateway_that_is_killed_costs_no_request(
    system: System, proxy: Haproxy, api: Api
) -> None:
    gateways = {name: await _gateway(system, proxy, name) for name in SERVERS}
    async with _called(system, proxy, api, followers=0) as callers:
        for _ in range(2):
            await gateways["gateway1"].kill()
            await callers.requests(100)
            gateways["gateway1"] = await _gateway(system, proxy, "gateway1")


async def test_while_no_gateway_is_ready_those_alive_answer_what_they_can(
    system: System, proxy: Haproxy, api: Api, broker: TcpProxy
) -> None:
    program = await _gateway(system, proxy, "gateway1", drain=0, AMQP_URL=broker.proxied)
    await system.add_run(1)
    broker.refuse()
    await broker.cut()
    await proxy.becomes("gateway1", "DOWN")

    assert (await api.ask("GET", "/api/v1/runs/1")).status == 200
    refused = await api.cancel(1)
    assert refused.error == (503, "unavailable")
    assert refused.headers["Server"] == "cancel-gateway"

    assert await program.stop() == 0
    nobody = await api.cancel(1)
    assert nobody.error == (503, "unavailable")
    assert nobody.headers["Retry-After"] == "5"
    assert "Server" not in nobody.headers


async def test_a_client_has_its_own_address_and_no_other(
    system: System, proxy: Haproxy, api: Api
) -> None:
    program = await _gateway(system, proxy, "gateway1")
    headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": FORGED}

    assert (await api.ask("GET", "/api/v1/runs/1", headers=headers)).error[0] == 401

    assert (await program.event("request"))["client"] == CLIENT
    for path in ("/metrics", "/readyz", "/healthz"):
        assert (await api.ask("GET", path)).error == (404, "not_found")
