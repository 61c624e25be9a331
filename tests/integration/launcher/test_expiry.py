"""A queued run that does not start by its `start_before` is canceled, and never starts."""

import asyncio
import json
from datetime import timedelta
from typing import Any, Final

import asyncpg
import pytest

from shared.postgres import sql
from tests.support.broker.event_listener import listening
from tests.support.launcher.launching import marking, starts
from tests.support.telemetry.exposition import monitoring_url, scrape
from tools.support.program import Program
from tools.support.rows import IN_EACH_STATE, Row, insert_run
from tools.support.system import System
from tools.support.waiting import eventually

# Long enough that nothing expires but by a claim, or at the start of a worker.
NO_BEAT: Final = 300
LATE: Final = timedelta(seconds=-1)

_ADD = """
    INSERT INTO runs (run_id, start_before)
    SELECT run_id, clock_timestamp() + $2 FROM generate_series(1::bigint, $1::bigint) run_id
"""


async def add(system: System, start_before: timedelta, number: int = 1) -> None:
    """Register runs 1 to `number`, to start within `start_before` by Postgres' clock."""
    await system.database.execute(_ADD, number, start_before)


async def told(system: System) -> list[dict[str, Any]]:
    """What was told of finished runs, and is not published yet."""
    rows = await system.database.fetch("SELECT data FROM outbox WHERE type = 'run.finished'")
    return [json.loads(row["data"]) for row in rows]


async def counted(system: System, worker: Program) -> float | None:
    return (await scrape(system.http, await monitoring_url(worker))).value(
        "cancel_runs_expired_total"
    )


async def test_it_is_canceled_as_expired_at_the_next_heartbeat(system: System) -> None:
    worker = await system.worker(host_heartbeat=0.2)
    await add(system, LATE)

    run = await system.status_becomes(1, "canceled")

    assert (run["expired"], run["proof"], run["host"]) == (True, "never_started", None)
    assert run["finished_at"] > run["start_before"]
    await worker.event("run_expired", run_id=1)
    assert await counted(system, worker) == 1


async def test_exactly_one_event_tells_of_it(system: System) -> None:
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(system.database_url)
    async with connection.transaction():
        await connection.execute(sql.outbox.TAKE_TURN)  # so that nothing is published meanwhile
        await add(system, LATE)
        await system.worker(host_heartbeat=0.2)
        await system.status_becomes(1, "canceled")
        launched = await system.launch(1, "true")
        assert await launched.exit_code() == 123
        assert (await system.outcome_of(await system.publish(1)))["outcome"] == "no_op"

        (event,) = await told(system)
    await connection.close()

    assert (event["status"], event["ended"], event["proof"]) == (
        "canceled",
        "expired",
        "never_started",
    )


async def test_two_workers_that_find_it_at_once_cancel_each_run_once(system: System) -> None:
    await add(system, LATE, number=1200)

    workers = await asyncio.gather(
        system.worker(host_heartbeat=NO_BEAT), system.worker("another", host_heartbeat=NO_BEAT)
    )

    expired = await eventually(
        lambda: system.database.fetchval("SELECT count(*) FROM runs WHERE expired"),
        lambda number: number == 1200,
    )
    for worker in workers:
        await worker.stop()
    logged = [
        event["run_id"]
        for worker in workers
        for event in worker.events
        if event["event"] == "run_expired"
    ]
    assert sorted(logged) == list(range(1, expired + 1))


@pytest.mark.parametrize("expired_before", [False, True], ids=["by the claim", "before the claim"])
async def test_it_never_starts_and_its_launcher_says_why(
    system: System, expired_before: bool
) -> None:
    worker = await system.worker(host_heartbeat=0.2 if expired_before else NO_BEAT)
    path = system.directory / "starts"
    await add(system, LATE)
    if expired_before:
        await system.status_becomes(1, "canceled")

    launched = await system.launch(1, *marking(path))

    assert await launched.exit_code() == 123
    run = await system.run(1)
    assert (run["status"], run["expired"]) == ("canceled", True)
    assert await launched.errors() == (
        "cancel-exec: run 1 expired: it did not start before "
        f"{run['start_before']:%Y-%m-%d %H:%M:%S} UTC; the command was not run\n"
    )
    assert starts(path) == []
    await worker.event("run_expired", run_id=1)
    assert await counted(system, worker) == 1


async def test_an_expiry_by_the_claim_is_told_at_once(system: System) -> None:
    await system.worker(host_heartbeat=NO_BEAT)
    async with listening(system, "run.finished") as listener:
        await add(system, LATE)
        launched = await system.launch(1, "true")

        (event,) = await listener.take(1)

    assert event["data"]["ended"] == "expired"
    assert await launched.exit_code() == 123


async def test_one_that_is_claimed_in_time_starts(system: System) -> None:
    await system.worker(host_heartbeat=0.2)
    await add(system, timedelta(minutes=10))

    launched = await system.launch(1, "true")

    assert await launched.exit_code() == 0
    run = await system.run(1)
    assert (run["status"], run["expired"]) == ("pass", False)


async def test_a_cancel_of_it_is_a_no_op(system: System) -> None:
    await system.worker(host_heartbeat=0.2)
    await add(system, LATE)
    await system.status_becomes(1, "canceled")

    command = await system.outcome_of(await system.publish(1))

    assert (command["outcome"], command["evidence"]) == ("no_op", {"run_status": "canceled"})
    assert (await system.run(1))["expired"]


async def test_a_run_that_is_being_claimed_is_left_alone(system: System) -> None:
    """Its claim began in time."""
    await add(system, timedelta(seconds=0.3))
    async with system.database.acquire() as claiming, claiming.transaction():
        await claiming.execute("UPDATE runs SET url = 'https://ci/1' WHERE run_id = 1")
        await system.database.execute("SELECT pg_sleep(0.3)")

        assert await system.database.fetch(sql.registrations.EXPIRE, 500) == []


async def test_a_claim_waits_for_an_expiry_and_starts_nothing(system: System) -> None:
    await system.worker(host_heartbeat=NO_BEAT)
    path = system.directory / "starts"
    await add(system, LATE)
    async with system.database.acquire() as expiring, expiring.transaction():
        await expiring.execute(sql.registrations.EXPIRE, 500)
        launched = await system.launch(1, *marking(path))
        await eventually(
            lambda: system.database.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )

    assert await launched.exit_code() == 123
    assert starts(path) == []


@pytest.mark.parametrize("row", IN_EACH_STATE, ids=lambda row: f"{row['status']}-{len(row)}")
async def test_only_a_queued_run_expires(system: System, row: Row) -> None:
    await insert_run(system.database, 1, {**row, "start_before": "2026-01-01T00:00:00+00:00"})
    before = await system.run(1)

    some = await system.database.fetch(sql.registrations.EXPIRE, 500)
    after = await system.run(1)
    one = await system.database.fetch(sql.registrations.EXPIRE_ONE, 1)

    if row["status"] == "queued":
        assert (len(some), after["status"], after["expired"]) == (1, "canceled", True)
    else:
        assert (some, after) == ([], before)
    assert one == []
    assert await system.run(1) == after
