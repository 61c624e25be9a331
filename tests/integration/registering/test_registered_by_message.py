"""A message registers a run, once and as it says."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import Final

import pytest
import pytest_asyncio

from shared.amqp.keys import CANCEL_KEY
from shared.registrations import QUEUED_TYPE
from tests.support.broker.queues import holds
from tests.support.broker.registrations import (
    options,
    registered,
    registration,
    send_body,
    send_registration,
)
from tests.support.launcher.launching import blocked_in_database
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.program import Program
from tools.support.records import Json
from tools.support.system import System
from tools.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

run_ids = count(1)
PLAIN: Final[Json] = {
    "grace_seconds": None,
    "stop_signal": "SIGTERM",
    "stop_scope": "tree",
    "leftovers": "stop",
    "url": None,
    "start_before": None,
    "labels": {},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("runs")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(system: System) -> Program:
    # Events are published at a heartbeat too.
    return await system.worker(host_heartbeat=300)


async def _letters(system: System) -> int:
    return await system.depth(system.topology.dead)


async def test_a_run_is_registered_with_the_defaults(system: System, worker: Program) -> None:
    run_id = next(run_ids)
    await send_registration(system, run_id)

    row = await registered(system, run_id)
    assert row["status"] == "queued"
    assert options(row) == PLAIN


async def test_a_run_is_registered_with_all_its_options(system: System, worker: Program) -> None:
    run_id = next(run_ids)
    labels = {"branch": "main", "team": "größe"}
    await send_registration(
        system,
        run_id,
        grace_seconds=2.5,
        stop_signal="SIGINT",
        stop_scope="leader",
        leftovers="keep",
        labels=labels,
        url="https://ci.example/runs/1",
        start_before="2126-01-02T03:04:05+01:00",
    )

    row = await registered(system, run_id)
    assert options(row) == {
        "grace_seconds": 2.5,
        "stop_signal": "SIGINT",
        "stop_scope": "leader",
        "leftovers": "keep",
        "url": "https://ci.example/runs/1",
        "start_before": datetime(2126, 1, 2, 2, 4, 5, tzinfo=UTC),
        "labels": labels,
    }


async def test_fields_of_a_newer_version_are_ignored(system: System, worker: Program) -> None:
    run_id = next(run_ids)
    await send_registration(system, run_id, newer={"a": [1]}, reason=7)

    assert options(await registered(system, run_id)) == PLAIN


async def test_the_same_message_again_changes_nothing(system: System, worker: Program) -> None:
    first, run_id = next(run_ids), next(run_ids)
    await send_registration(system, first, labels={"a": "1", "b": "2"})
    before = await registered(system, first)

    # Another spelling of the same.
    await send_registration(
        system, first, labels={"b": "2", "a": "1"}, grace_seconds=None, stop_signal="SIGTERM"
    )
    await send_registration(system, run_id)
    await registered(system, run_id)

    assert await system.run(first) == before
    await worker.event("runs_registered", exists=1)
    assert await _letters(system) == 0


async def test_other_options_are_a_conflict_and_the_run_stays_as_it_is(
    system: System, worker: Program
) -> None:
    run_id = next(run_ids)
    await send_registration(system, run_id, grace_seconds=1)
    before = await registered(system, run_id)
    body = registration(run_id, grace_seconds=2)
    await send_body(system, body, message_id="my id", correlation_id="c1", headers={"mine": 1})

    letter = await system.dead_letter()
    assert letter.body == body
    assert (letter.type, letter.message_id, letter.correlation_id) == (QUEUED_TYPE, "my id", "c1")
    assert letter.headers["x-reason"] == "run_conflict"
    assert letter.headers["x-error"] == f"run {run_id} is on record with other options"
    assert letter.headers["x-original-routing-key"] == "run.queued"
    assert letter.headers["mine"] == 1
    assert letter.routing_key == system.topology.queued
    assert await system.run(run_id) == before
    await worker.event("registration_dead_lettered", run_id=run_id, reason="run_conflict")


async def test_of_two_messages_in_one_batch_the_first_counts(
    system: System, worker: Program
) -> None:
    before, run_id = next(run_ids), next(run_ids)
    bodies = [registration(run_id, grace_seconds=n) for n in (1, 2, 1, 3)]
    async with system.database.acquire() as connection, connection.transaction():
        # The next batch is what arrives while the worker waits for this lock.
        await connection.execute("LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE")
        await send_registration(system, before)
        await blocked_in_database(system)
        for body in bodies:
            await send_body(system, body)
        await holds(system, system.topology.queued, 0)

    letters = [await system.dead_letter() for _ in range(2)]
    assert {letter.body for letter in letters} == {bodies[1], bodies[3]}
    assert (await registered(system, run_id))["grace_seconds"] == 1
    assert await _letters(system) == 0


async def test_a_canceled_run_stays_canceled(system: System, worker: Program) -> None:
    run_id = next(run_ids)
    await send_registration(system, run_id)
    await registered(system, run_id)
    await system.publish(run_id)
    before = await system.status_becomes(run_id, "canceled")

    await send_registration(system, run_id)

    await worker.event("runs_registered", started=1)
    assert await system.run(run_id) == before
    assert await _letters(system) == 0


async def test_a_cancel_before_the_registration_is_carried_out_after_it(
    system: System, worker: Program
) -> None:
    run_id = next(run_ids)
    command_id = await system.publish(run_id)
    await worker.event("command_retried", command_id=command_id, reason="unknown_run")

    await send_registration(system, run_id)

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    assert (await system.run(run_id))["proof"] == "never_started"


async def test_a_registration_is_told_at_once(system: System, worker: Program) -> None:
    events = await system.channel.declare_queue(exclusive=True)
    await events.bind(system.topology.events, "run.registered")
    run_id = next(run_ids)
    await send_registration(system, run_id, labels={"branch": "main"})

    message = await eventually(lambda: events.get(fail=False), what="the event", deadline=5)
    assert message is not None
    event = json.loads(message.body)
    assert event["subject"] == str(run_id)
    assert event["data"]["labels"] == {"branch": "main"}


async def test_a_registration_is_no_command_and_a_command_no_registration(
    system: System, worker: Program
) -> None:
    run_id = next(run_ids)
    body = registration(run_id)
    await system.publish_raw(body, CANCEL_KEY, type=QUEUED_TYPE)
    await send_body(system, body, type="ci.run.cancel.v1")

    letters = {(await system.dead_letter()).headers["x-error"] for _ in range(2)}
    assert letters == {
        "type is 'ci.run.queued.v1', expected 'ci.run.cancel.v1'",
        "type is 'ci.run.cancel.v1', expected 'ci.run.queued.v1'",
    }
    assert not await system.database.fetchval("SELECT count(*) FROM runs WHERE run_id=$1", run_id)
