"""Health while services are away: who lives says so, who cannot work says why and since when."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from tests.support.telemetry.exposition import scrape
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

Json = dict[str, Any]

PROBED_EVERY = "0.2"


@pytest.fixture(params=["gateway", "worker"])
async def url(
    request: pytest.FixtureRequest, system: System, postgres: TcpProxy, broker: TcpProxy
) -> str:
    """A program that reaches its services through the proxies."""
    env = {
        "DATABASE_URL": postgres.proxied,
        "AMQP_URL": broker.proxied,
        "CANCEL_PROBE_INTERVAL": PROBED_EVERY,
    }
    if request.param == "worker":
        worker = await system.worker(env=env)
        return str((await worker.event("worker_ready"))["http"])
    program = await system.program("gateway", "serve", "--port", "0", **env)
    return str((await program.event("gateway_ready"))["url"])


async def _get(system: System, url: str) -> tuple[int, Json]:
    async with system.http.get(url) as response:
        return response.status, await response.json()


async def _readiness_becomes(system: System, url: str, *missing: str) -> Json:
    """Wait until exactly these services are missing; what readiness says then."""

    async def readiness() -> Json:
        status, body = await _get(system, f"{url}/readyz")
        assert status == (503 if body["missing"] else 200)
        assert body["status"] == ("unavailable" if body["missing"] else "ok")
        return body

    return await eventually(
        readiness,
        lambda body: sorted(each["service"] for each in body["missing"]) == sorted(missing),
    )


async def test_all_is_well(system: System, url: str) -> None:
    assert await _get(system, f"{url}/healthz") == (200, {"status": "ok"})
    await _readiness_becomes(system, url)
    exposed = await scrape(system.http, url)
    assert exposed.values("cancel_service_up", "service") == {"postgres": 1, "rabbitmq": 1}


async def test_readiness_says_what_is_missing_and_since_when(
    system: System, url: str, postgres: TcpProxy, broker: TcpProxy
) -> None:
    before = datetime.now(UTC)
    postgres.refuse()
    await postgres.cut()
    (missing,) = (await _readiness_becomes(system, url, "postgres"))["missing"]
    since = datetime.fromisoformat(missing["since"])
    assert before - timedelta(seconds=1) < since < before + timedelta(seconds=10)

    broker.refuse()
    await broker.cut()
    body = await _readiness_becomes(system, url, "postgres", "rabbitmq")
    again = next(each for each in body["missing"] if each["service"] == "postgres")
    assert again["since"] == missing["since"]
    passed = (datetime.now(UTC) - since).total_seconds()
    assert passed - 3 < again["seconds"] <= passed + 0.1

    postgres.accept()
    await _readiness_becomes(system, url, "rabbitmq")
    broker.accept()
    await _readiness_becomes(system, url)


async def test_the_time_is_known_though_it_was_not_asked_for(
    system: System, url: str, postgres: TcpProxy
) -> None:
    began = monotonic()
    postgres.refuse()
    await postgres.cut()
    await asyncio.sleep(3)  # the time that passes is what this is about

    _, body = await _get(system, f"{url}/readyz")

    assert 1.5 < body["missing"][0]["seconds"] < monotonic() - began + 0.1


async def test_a_silent_postgres_holds_no_answer_up(
    system: System, url: str, postgres: TcpProxy
) -> None:
    postgres.stall()

    async def took(ask: Callable[[], Awaitable[object]]) -> float:
        began = monotonic()
        await ask()
        return monotonic() - began

    assert await took(lambda: _get(system, f"{url}/healthz")) < 1
    asked = [took(lambda: _get(system, f"{url}/readyz")) for _ in range(20)]
    assert max(await asyncio.gather(*asked)) < 5
    assert await took(lambda: scrape(system.http, url)) < 8
    # It had answered within the last second.
    await _readiness_becomes(system, url, "postgres")
    exposed = await scrape(system.http, url)
    assert exposed.value("cancel_service_up", service="postgres") == 0
    assert exposed.value("cancel_service_up", service="rabbitmq") == 1


async def test_without_postgres_the_rest_is_scraped_all_the_same(
    system: System, postgres: TcpProxy
) -> None:
    program = await system.program(
        *("gateway", "serve", "--port", "0"), DATABASE_URL=postgres.proxied
    )
    url = str((await program.event("gateway_ready"))["url"])
    postgres.refuse()
    await postgres.cut()

    exposed = await scrape(system.http, url)

    assert exposed.value("cancel_statistics_up") == 0
    said = await program.event("statistics_not_read")
    assert (said["level"], "exception" in said) == ("warning", False)
    assert exposed.value("cancel_accepts_total", outcome="accepted") == 0
    gone = {
        "cancel_runs",
        "cancel_stops_overdue",
        "cancel_dead_letters_waiting",
        "cancel_events_waiting",
        "cancel_hosts",
    }
    assert not gone & exposed.names
    postgres.accept()
    exposed = await eventually(
        lambda: scrape(system.http, url), lambda exposed: gone <= exposed.names
    )
    assert exposed.value("cancel_statistics_up") == 1


async def test_health_touches_nothing(system: System, url: str, postgres: TcpProxy) -> None:
    postgres.stall()
    before = postgres.bursts

    for _ in range(50):
        assert await _get(system, f"{url}/healthz") == (200, {"status": "ok"})

    # What is probed meanwhile, at most.
    assert postgres.bursts - before < 10
