"""Whatever comes instead of a registration goes to the dead letters as it came."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from shared.commands import MAX_BODY
from tests.support.broker.registrations import registered, registration, send_body
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("bad")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(system: System) -> Program:
    return await system.worker()


@pytest.mark.parametrize(
    ("reason", "body", "properties"),
    [
        ("malformed", b"", {}),
        ("malformed", b"\xff\xfe\x00", {}),
        ("malformed", b'{"run_id": 1, "labels": {"a": "\\u0000"}}', {}),
        ("malformed", b'{"run_id": 1, "labels": {"\\ud800": "a"}}', {}),
        ("malformed", b'{"a":' * (MAX_BODY // 5), {}),
        ("malformed", b'{"run_id":' + b"9" * 60_000 + b"}", {}),
        ("malformed", registration(1) + b" " * MAX_BODY, {}),
        ("unknown_type", registration(1), {"type": None}),
        ("unknown_version", registration(1), {"type": "ci.run.queued.v2"}),
    ],
    ids=range(9),
)
async def test_it_is_buried_and_the_worker_goes_on(
    system: System, worker: Program, reason: str, body: bytes, properties: dict[str, Any]
) -> None:
    await send_body(system, body, **properties)

    letter = await system.dead_letter()
    assert letter.headers["x-reason"] == reason
    assert letter.headers["x-error"]
    assert letter.headers["x-original-routing-key"] == "run.queued"
    assert letter.body == body[:MAX_BODY]
    assert letter.headers.get("x-body-size") == (len(body) if len(body) > MAX_BODY else None)
    await _goes_on(system, worker)


async def _goes_on(system: System, worker: Program) -> None:
    run_id = 1000 + next(run_ids)
    await send_body(system, registration(run_id))
    await registered(system, run_id)
    events = [event["event"] for event in worker.events]
    assert events.count("registering") == 1
    assert not any("exception" in event for event in worker.events)
