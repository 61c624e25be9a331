"""What is wrong with a command's information is noted, and the command is carried out."""

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio

from shared.commands import CANCEL_TYPE
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.processes import until_gone
from tools.support.program import Program
from tools.support.records import Json
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)
NOT_STORABLE: Final = "Characters that cannot be stored were replaced"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("info")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(system: System) -> Program:
    return await system.worker()


async def _settled(system: System, command_id: str) -> Json:
    row = await system.outcome_of(command_id)
    return {**row, "faults": json.loads(row["faults"])}


@pytest.mark.parametrize(
    ("fields", "recorded", "faults"),
    [
        ({"requested_at": 1767323045}, None, "valid datetime"),
        ({"requested_at": "2026-01-02T03:04:05"}, None, "timezone"),
        ({"requested_at": "yesterday"}, None, "valid datetime"),
        ({"requested_at": [[[1]]]}, None, "valid datetime"),
        ({"requested_at": "0001-01-01T00:00:00+23:00"}, None, "out of range"),
        ({"requested_at": "0001-01-01T00:00:00Z"}, None, "out of range"),
        ({"requested_at": "9999-12-31T23:59:59.999999Z"}, None, "out of range"),
        ({"reason": 7}, None, "valid string"),
        ({"reason": {"a": 1}}, None, "valid string"),
        ({"reason": "r" * 256}, "r" * 255, "at most 255 characters, and was cut"),
        ({"reason": "r" * 60_000}, "r" * 255, "and was cut"),
        ({"reason": "a\x00b"}, "a\ufffdb", NOT_STORABLE),
        ({"reason": "a\ud800b"}, "a\ufffdb", NOT_STORABLE),
        ({"requested_by": False}, None, "valid string"),
        ({"requested_by": "b" * 300}, "b" * 255, "and was cut"),
        ({"requested_by": "\x00" * 256}, "\ufffd" * 255, f"{NOT_STORABLE}; "),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_faulty_field_is_noted_and_refuses_no_command(
    system: System, worker: Program, fields: Json, recorded: str | None, faults: str
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    [name] = fields

    command_id = await system.publish(run_id, **fields)

    row = await _settled(system, command_id)
    assert (row["outcome"], row[name]) == ("canceled", recorded)
    assert [*row["faults"]] == [name]
    assert faults in row["faults"][name]
    said = await worker.event("command_settled", command_id=command_id)
    assert said["faults"] == row["faults"]


async def test_the_faults_are_shown_with_the_run(system: System, worker: Program) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)
    await system.outcome_of(await system.publish(run_id, requested_at=1, reason="r" * 256))

    code, out, _ = await system.cli("worker", "runs", "show", str(run_id))
    _, described, _ = await system.cli("worker", "runs", "show", str(run_id), "--json")

    assert code == 0
    assert "fault        requested_at: " in out
    assert "fault        reason: String should have at most 255 characters, and was cut" in out
    [cancellation] = json.loads(described)["cancellations"]
    assert sorted(cancellation["faults"]) == ["reason", "requested_at"]


async def test_a_command_alone_on_its_way_has_its_faults_noted_too(
    system: System, worker: Program
) -> None:
    """Not one of a batch: it finds a stop in progress."""
    run_id = next(run_ids)
    _, mark = await system.launch_bad_child(run_id, "ignores_term")
    first = await system.publish(run_id, grace_seconds=60)
    await system.status_becomes(run_id, "canceling")

    second = await _settled(system, await system.publish(run_id, force=True, requested_at=1))

    assert second["outcome"] == "forced"
    assert [*second["faults"]] == ["requested_at"]
    assert (await _settled(system, first))["faults"] == {}
    await until_gone(mark, deadline=0)


async def test_a_retry_carries_the_fault_along(system: System, worker: Program) -> None:
    run_id = next(run_ids)
    command_id = await system.publish(run_id, requested_at=1)
    await worker.event("command_retried", command_id=command_id)

    await system.add_run(run_id)

    row = await _settled(system, command_id)
    assert (row["outcome"], [*row["faults"]]) == ("canceled", ["requested_at"])


@pytest.mark.parametrize(
    "message_id", [None, "", " ", "x", "5d1f6f0e-3c53-4a35-9a1b-2f0f6e2f9c11", "m" * 255]
)
async def test_any_message_id_will_do(
    system: System, worker: Program, message_id: str | None
) -> None:
    run_id, command_id = next(run_ids), str(uuid4())
    await system.add_run(run_id)
    body = json.dumps({"command_id": command_id, "run_id": run_id}).encode()
    properties: dict[str, Any] = {} if message_id is None else {"message_id": message_id}

    # Where there is none, aio-pika makes one up.
    await system.publish_raw(
        body, type=CANCEL_TYPE, content_type="text/plain", content_encoding="gzip", **properties
    )

    assert (await _settled(system, command_id))["outcome"] == "canceled"


@pytest.mark.parametrize(
    "fields", [{"force": "yes"}, {"grace_seconds": "5"}, {"grace_seconds": -1}]
)
async def test_a_field_that_decides_is_not_guessed_at(
    system: System, worker: Program, fields: Json
) -> None:
    run_id = next(run_ids)
    await system.add_run(run_id)

    # The information beside it is wrong as well, and is not what is named.
    await system.publish(run_id, requested_at=1, **fields)

    letter = await system.dead_letter()
    assert letter.headers["x-reason"] == "malformed"
    assert str(letter.headers["x-error"]).startswith(f"{next(iter(fields))}: ")
    assert (await system.run(run_id))["status"] == "queued"
