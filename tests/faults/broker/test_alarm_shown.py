"""RabbitMQ has an alarm: programs say so, and stay ready, as all of them have it alike."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from tests.support.http.api import Api
from tests.support.own_servers import skipped_if_unavailable
from tools.services import Alarm, PrivateRabbit, Sandbox
from tools.services.cluster.cluster import ENDED, RAISED
from tools.support.program import Program
from tools.support.system import System
from tools.support.waiting import eventually

OFTEN = {"CANCEL_PROBE_INTERVAL": "0.05"}


@pytest.fixture
def broker() -> Iterator[PrivateRabbit]:
    with Sandbox() as sandbox:
        with skipped_if_unavailable():
            rabbit = PrivateRabbit(sandbox)
            rabbit.start()
        yield rabbit


@pytest.fixture
async def system(database_url: str, broker: PrivateRabbit, tmp_path: Path) -> AsyncIterator[System]:
    async with System(database_url, broker.url, tmp_path).running() as running:
        yield running


async def _shown(system: System, url: str) -> tuple[int, list[str], float]:
    """The status of /readyz, what it warns about, and the metric."""
    async with system.http.get(URL(url) / "readyz") as response:
        body: dict[str, Any] = await response.json()
        status = response.status
    async with system.http.get(URL(url) / "metrics") as response:
        lines = (await response.text()).splitlines()
    (value,) = [line for line in lines if line.startswith("cancel_publishing_blocked")]
    return status, [each["about"] for each in body["warnings"]], float(value.split()[-1])


async def _is_there(broker: PrivateRabbit) -> bool:
    said = await asyncio.to_thread(broker.ctl, "eval", "rabbit_alarm:get_alarms().")
    return "resource_limit" in said


@pytest.mark.parametrize("alarm", Alarm)
async def test_an_alarm_is_shown_by_all_that_publish_until_it_is_over(
    system: System, broker: PrivateRabbit, alarm: Alarm
) -> None:
    worker = await system.worker(env=OFTEN, host_heartbeat=0.2)
    env = {"CANCEL_CONFIRM_TIMEOUT": "1", **OFTEN}
    gateway = await system.program("gateway", "serve", "--port", "0", **env)
    url = str((await gateway.event("gateway_ready"))["url"])
    programs: list[tuple[Program, str]] = [
        (worker, str((await worker.event("worker_ready"))["http"])),
        (gateway, url),
    ]
    api = Api(url, system.http, await system.token())
    for _, each in programs:
        await eventually(partial(_shown, system, each), lambda shown: shown == (200, [], 0.0))

    await asyncio.to_thread(broker.ctl, *RAISED[alarm])
    await eventually(lambda: _is_there(broker))
    await system.add_run(1)  # an event, which the worker publishes
    refused = await api.cancel(1)

    assert refused.error == (503, "unavailable")
    for program, each in programs:
        await program.event("publishing_blocked")
        shown = await _shown(system, each)
        assert shown == (200, ["rabbitmq_alarm"], 1.0)

    await asyncio.to_thread(broker.ctl, *ENDED[alarm])

    for program, each in programs:
        await program.event("publishing_goes_on")
        await eventually(partial(_shown, system, each), lambda shown: shown == (200, [], 0.0))
    assert (await api.cancel(1)).status == 202
    assert len([event for event in gateway.events if event["event"] == "publishing_blocked"]) == 1
