"""Types, headers and properties that are no command's are buried; the worker goes on."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from shared.commands import CANCEL_TYPE
from tests.support.broker.buried import buried, command, goes_on, run_ids
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.system import System
from worker.messages.headers import BROKER_HEADERS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("properties")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(system: System) -> Program:
    return await system.worker()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (None, "unknown_type"),
        ("", "unknown_type"),
        ("CI.RUN.CANCEL.V1", "unknown_type"),
        ("a" * 255, "unknown_type"),
        ("ci.run.cancel", "unknown_type"),
        ("ci.run.cancel.v2", "unknown_version"),
    ],
)
async def test_an_unknown_type_is_buried_and_not_guessed_at(
    system: System, worker: Program, kind: str | None, reason: str
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    body = command(run_id=run_id, command_id=str(uuid4()))

    await system.publish_raw(body, type=kind, correlation_id="c-1", app_id="some-app")

    message = await buried(system, reason, body)
    assert (message.type or "") == (kind or "")
    assert (message.correlation_id, message.app_id) == ("c-1", "some-app")
    assert (await system.run(run_id))["status"] == "queued"
    await goes_on(system, worker)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-attempt": "four"},
        {"x-attempt": -1},
        {"x-attempt": 2**62},
        {"x-attempt": [1]},
        {"x-attempt": None},
        {"x-death": [{"queue": "runs.cancel", "reason": "expired", "count": 10**6}]},
        {
            "x-death": "mine",
            "x-delivery-count": 99,
            "x-acquired-count": 9,
            "x-first-death-reason": 1,
        },
        {"x-original-exchange": {"a": 1}, "x-original-routing-key": 5, "x-first-failure": [1]},
        {"x-reason": "harmless", "x-error": "none"},
        {"deep": {"a": {"b": {"c": [1, 2.5, True, None, {"d": "e"}]}}}},
        # Beside these no header of ours fits into the one frame that a message's headers have.
        {"x-big": "a" * 130_900},
        {f"x-{n}": "a" * 40 for n in range(2500)},
        {f"x-{n}": n for n in range(1001)},
        {"x-many": [[] for _ in range(20_000)]},
    ],
    ids=lambda headers: str(headers)[:40],
)
async def test_hostile_headers_neither_stop_the_worker_nor_count_for_anything(
    system: System, worker: Program, headers: dict[str, Any]
) -> None:
    await system.publish_raw(b"bad", type=CANCEL_TYPE, headers=headers)

    message = await buried(system, "malformed", b"bad")

    assert message.headers["x-attempt"] == 1
    assert isinstance(message.headers["x-first-failure"], str)
    assert not [name for name in message.headers if name.startswith(BROKER_HEADERS)]
    await goes_on(system, worker)


class Raw(str):
    """Hexadecimal digits that are sent as the bytes they stand for."""

    def __str__(self) -> str:
        return self  # and not a plain text, which the client library asks for

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return bytes.fromhex(self)


async def test_a_property_that_is_no_text_does_not_cost_the_connection(
    system: System, worker: Program
) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    await system.add_run(run_id)

    await system.publish_raw(
        command(command_id=command_id, run_id=run_id),
        message_id=command_id,
        type=CANCEL_TYPE,
        correlation_id=Raw("ff" * 255),
    )
    await system.publish_raw(b"no command", type=Raw("ff" * 255))

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    letter = await system.dead_letter()
    assert (letter.headers["x-reason"], letter.body) == ("unknown_type", b"no command")
    await goes_on(system, worker)
