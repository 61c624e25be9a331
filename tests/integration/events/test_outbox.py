"""What happens to runs and commands is told, once it is on record and in its order."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from shared.postgres.sql.outbox import NEXT_EVENTS
from tests.support.broker.event_listener import Json, Listener, listening, until_told
from tests.support.launcher.launching import blocked_in_database
from tools.support.system import System


@pytest.fixture
async def listener(system: System) -> AsyncIterator[Listener]:
    await system.worker()
    async with listening(system) as listener:
        yield listener


async def test_a_queued_run_that_is_canceled_is_told_and_its_command(
    system: System, listener: Listener
) -> None:
    await system.add_run(7)
    command_id = await system.publish(7, requested_by="alice", reason="old")

    told = {event["type"]: event for event in await listener.take(2)}

    assert set(told) == {"ci.run.finished.v1", "ci.cancel.settled.v1"}
    finished, settled = told["ci.run.finished.v1"], told["ci.cancel.settled.v1"]
    assert finished["specversion"] == "1.0"
    assert finished["subject"] == settled["subject"] == "7"
    assert finished["data"] == {
        "run_id": 7,
        "status": "canceled",
        "exit_code": None,
        "error": None,
        "proof": "never_started",
        "ended": "never_started",
        "labels": {},
        "url": None,
        "left_behind": None,
    }
    assert settled["data"] == {
        "run_id": 7,
        "command_id": command_id,
        "outcome": "canceled",
        "requested_by": "alice",
        "reason": "old",
        "via": "direct",
        "publisher": None,
        "force": False,
        "ended": "never_started",
        "proof": "never_started",
        "duration_ms": 0.0,
        "containers": 0,
    }
    await until_told(system)


async def test_a_run_that_ends_by_itself_is_told(system: System, listener: Listener) -> None:
    await system.add_run(7)
    launched = await system.launch(7, "sh", "-c", "exit 3")
    assert await launched.exit_code() == 3

    (finished,) = await listener.take(1)

    assert finished["data"] == {
        "run_id": 7,
        "status": "fail",
        "exit_code": 3,
        "error": None,
        "proof": None,
        "ended": "exited",
        "labels": {},
        "url": None,
        "left_behind": None,
    }


async def test_of_a_repeat_its_own_outcome_is_told_and_nothing_twice(
    system: System, listener: Listener
) -> None:
    await system.launch_bad_child(7, "obeys")
    first = await system.publish(7)
    await listener.take(2)
    second = await system.publish(7)

    (settled,) = await listener.take(1)

    assert (settled["data"]["command_id"], settled["data"]["outcome"]) == (second, "no_op")
    assert first != second
    await until_told(system)


async def test_a_loss_is_told(system: System, listener: Listener) -> None:
    launched, _ = await system.launch_bad_child(7, "obeys")
    launched.kill()

    (finished,) = await listener.take(1)

    assert finished["data"]["status"] == "error"
    assert "launcher" in finished["data"]["error"]


async def test_a_thousand_runs_are_told_each_in_order(system: System, listener: Listener) -> None:
    for run_id in range(1, 1001):
        await system.add_run(run_id)
    await asyncio.gather(*(system.publish(run_id) for run_id in range(1, 1001)))

    events = await listener.take(2000)

    by_run: dict[str, list[Json]] = {}
    for event in events:
        by_run.setdefault(event["subject"], []).append(event)
    assert len(by_run) == 1000
    for told in by_run.values():
        assert [int(event["sequence"]) for event in told] == sorted(
            int(event["sequence"]) for event in told
        )
    assert len({event["id"] for event in events}) == 2000


async def test_without_a_listener_nothing_is_kept(system: System) -> None:
    await system.worker()
    await system.add_run(7)
    await system.outcome_of(await system.publish(7))

    await until_told(system)


async def test_what_was_undone_is_not_told(system: System, listener: Listener) -> None:
    await system.add_run(7)
    async with system.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO cancellations (command_id, run_id, via, force, outcome, finished_at)"
            " VALUES ($1, 7, 'direct', false, 'no_op', now())",
            uuid4(),
        )
        await transaction.rollback()
    command_id = await system.publish(7)

    told = {event["data"].get("command_id") for event in await listener.take(2)}

    assert told == {command_id, None}


async def test_a_change_that_settles_nothing_is_not_told(
    system: System, listener: Listener
) -> None:
    await system.add_run(7)
    await system.outcome_of(await system.publish(7))
    await listener.take(2)

    await system.database.execute("UPDATE cancellations SET evidence = evidence || '{\"a\": 1}'")
    await system.database.execute("UPDATE runs SET exit_code = 143")

    assert await system.database.fetchval("SELECT count(*) FROM outbox") == 0


async def test_what_waits_in_great_numbers_is_soon_looked_past(system: System) -> None:
    number = 100_000
    await system.database.execute(
        "INSERT INTO outbox (type, run_id, data)"
        " SELECT 'run.finished', n, '{}' FROM generate_series(1, $1 + 1) n",
        number,
    )
    async with system.database.acquire() as connection:
        # Some 0.1 s, or half a minute where each is compared with each. The plan may be another one
        # from the sixth time on.
        await connection.execute("SET statement_timeout = '5s'")
        for _ in range(7):
            (event,) = await connection.fetch(NEXT_EVENTS, 200, list(range(1, number + 1)))

    assert event["run_id"] == number + 1


async def test_events_are_told_within_seconds_while_commands_wait_to_be_decided(
    system: System,
) -> None:
    await system.worker(host_heartbeat=0.2, database_timeout=60)
    runs = range(1, 151)
    for run_id in runs:
        await system.add_run(run_id)
    async with (
        listening(system) as listener,
        system.database.acquire() as connection,
        connection.transaction(),
    ):
        await connection.execute("LOCK TABLE cancellations IN SHARE ROW EXCLUSIVE MODE")
        for run_id in runs:
            await system.publish(run_id)
        await blocked_in_database(system)
        await system.database.execute(
            "INSERT INTO outbox (type, run_id, data) VALUES ('run.finished', 999, '{}')"
        )

        (told,) = await listener.take(1)

        assert told["subject"] == "999"
        assert not await system.database.fetchval("SELECT EXISTS (SELECT FROM cancellations)")
    for run_id in runs:
        await system.status_becomes(run_id, "canceled")
