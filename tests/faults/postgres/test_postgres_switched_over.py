"""Postgres is switched over, and its address leads to what is a standby by now for a while.

Connections made meanwhile stay where they are: reads succeed there, writes do not.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from shared.configuration.settings import DatabaseSettings
from shared.postgres.database import connected
from shared.postgres.migrate import migrate
from tests.support.http.api import Api
from tests.support.postgres.standby import replicated
from tools.services import PrivatePair, Services
from tools.support.launched import Launched
from tools.support.processes import until_gone
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

SOON = 15.0
"""Seconds that anything may take once a server that takes writes is reached."""
GRACE = 2.0


@pytest.fixture
def pair() -> Iterator[PrivatePair]:
    with replicated() as pair:
        yield pair


@pytest.fixture
async def address(pair: PrivatePair) -> AsyncIterator[TcpProxy]:
    """Leads to the primary, and to the other one when it is told."""
    async with TcpProxy(pair.primary.url, pair.standby.url) as proxy:
        yield proxy


@pytest.fixture
async def system(pair: PrivatePair, services: Services, tmp_path: Path) -> AsyncIterator[System]:
    settings = DatabaseSettings.model_validate({"DATABASE_URL": pair.primary.url})
    async with connected(settings) as database:
        await migrate(database)
    # The test itself looks at whichever takes writes.
    url = f"{pair.url()}?target_session_attrs=read-write"
    async with System(url, services.amqp_url, tmp_path).running() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Programs:
    worker: Program
    api: Api
    ready: dict[str, str]
    """Where each says whether it is ready."""

    async def readiness_becomes(self, system: System, status: int, within: float) -> None:
        end = monotonic() + within
        for url in self.ready.values():
            await eventually(
                partial(_readiness, system, url),
                lambda answer: answer[0] == status,
                deadline=end - monotonic(),
            )


async def _readiness(system: System, url: str) -> tuple[int, Any]:
    async with system.http.get(f"{url}/readyz") as response:
        return response.status, await response.json()


async def _started(system: System, url: str) -> Programs:
    worker = await system.worker(env={"DATABASE_URL": url}, host_heartbeat=1, probe_interval=1)
    gateway = await system.program(
        "gateway", "serve", "--port", "0", DATABASE_URL=url, CANCEL_PROBE_INTERVAL="1"
    )
    gateway_url = str((await gateway.event("gateway_ready"))["url"])
    api = Api(gateway_url, system.http, await system.token())
    worker_url = str((await worker.event("worker_ready"))["http"])
    return Programs(worker, api, {"worker": worker_url, "gateway": gateway_url})


async def _run_being_stopped(system: System, programs: Programs) -> tuple[Launched, str]:
    launched, mark = await system.launch_bad_child(1, "ignores-term")
    await system.database.execute("UPDATE runs SET grace_seconds = $1", GRACE)
    assert (await programs.api.cancel(1)).status == 202
    await system.status_becomes(1, "canceling")
    return launched, mark


# Both a URL as most have it, and one that has said that any server will do.
@pytest.mark.parametrize("query", ["", "?target_session_attrs=any"], ids=["plain", "any"])
async def test_all_goes_on_once_the_address_leads_to_the_new_primary(
    system: System, pair: PrivatePair, address: TcpProxy, query: str
) -> None:
    programs = await _started(system, address.proxied + query)
    launched, mark = await _run_being_stopped(system, programs)

    address.refuse()
    await asyncio.to_thread(pair.switch_over)
    address.accept()
    missed = sum(event["event"] == "beat_missed" for event in programs.worker.events)
    await programs.worker.event("beat_missed", count=missed + 2)
    await until_gone(mark)
    await programs.readiness_becomes(system, 503, within=SOON)

    address.prefer(pair.primary.url)

    await programs.readiness_becomes(system, 200, within=SOON)
    await system.status_becomes(1, "canceled", deadline=SOON)
    assert await launched.exit_code(SOON) == 128 + 9
    assert (await system.run(1))["exit_code"] is not None
    await system.add_run(2)
    assert (await programs.api.cancel(2)).status == 202
    await system.status_becomes(2, "canceled", deadline=SOON)
    end = await programs.api.ask("GET", "/api/v1/runs/2?wait=10")
    assert (end.status, end.body["status"]) == (200, "canceled")
