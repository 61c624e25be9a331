"""Registrations while something fails: none is lost, and none has an effect twice."""

from collections import Counter
from typing import Final

from tests.support.broker.event_listener import Listener, listening
from tests.support.broker.queues import holds
from tests.support.broker.registrations import (
    flood,
    registered,
    registration,
    send_registration,
    settled,
)
from tests.support.launcher.launching import blocked_in_database
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

RUNS: Final = 2_000
HELD: Final = (400, 1000, 1600)
"""Runs, further apart than a batch is long: one that is held may not be registered with another."""
SHORT: Final = "tests.support.broker.worker_with_short_pauses"
# Fails for run 13, and for no other.
FAULT: Final = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'out of luck'; END $$;
    CREATE TRIGGER fault BEFORE INSERT ON runs
        FOR EACH ROW WHEN (NEW.run_id = 13) EXECUTE FUNCTION fail();
"""


async def test_a_worker_that_is_killed_in_its_batches_loses_nothing(system: System) -> None:
    async with listening(system, "run.registered") as listener:
        await flood(system, (registration(run_id) for run_id in range(1, RUNS + 1)))
        for run_id in HELD:
            async with system.database.acquire() as connection:
                held = connection.transaction()
                await held.start()
                # The batch with this run waits until it is known who registers it.
                await connection.execute("INSERT INTO runs (run_id) VALUES ($1)", run_id)
                worker = await system.worker()
                await blocked_in_database(system)
                await worker.kill()
                await held.rollback()

        await system.worker()

        await settled(system, RUNS)
        await _told_once(system, listener, RUNS)
    assert await system.depth(system.topology.dead) == 0


async def test_what_is_committed_and_not_acknowledged_is_repeated_without_effect(
    system: System, broker: TcpProxy
) -> None:
    runs = 100
    worker = await system.worker(env={"AMQP_URL": broker.proxied})
    async with listening(system, "run.registered") as listener:
        async with system.database.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE")
            await _send_and_wait(system, runs)
            await blocked_in_database(system)
            broker.stall()
        await eventually(
            lambda: system.database.fetchval("SELECT count(*) FROM runs"), lambda n: n == runs
        )
        await broker.cut()
        broker.resume()

        await eventually(lambda: _sum(worker, "exists"), lambda found: found == runs)
        await settled(system, runs)
        await _told_once(system, listener, runs)
    assert _sum(worker, "created") == runs
    assert await system.depth(system.topology.dead) == 0


async def test_while_postgres_is_away_registrations_wait(
    system: System, postgres: TcpProxy
) -> None:
    worker = await system.worker(env={"DATABASE_URL": postgres.proxied}, database_timeout=2)
    async with system.database.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE")
        await _send_and_wait(system, 1)
        await blocked_in_database(system)
        postgres.refuse()
        await postgres.cut()

    await worker.event("registering_paused")
    await holds(system, system.topology.queued, 1)  # what was held goes back
    await send_registration(system, 2)
    assert await system.depth(system.topology.queued) == 2
    postgres.accept()

    await worker.event("registering", count=2)
    await settled(system, 2)
    assert await system.depth(system.topology.dead) == 0


async def test_one_that_fails_keeps_no_other_and_becomes_a_dead_letter(system: System) -> None:
    await system.database.execute(FAULT)
    await system.add_run(30)
    conflict = registration(30, grace_seconds=1)
    await flood(system, [*map(registration, range(1, 30)), conflict])
    worker = await system.worker(module=SHORT)

    letters = [await system.dead_letter() for _ in range(2)]

    await settled(system, 29)
    found = {letter.headers["x-reason"]: letter for letter in letters}
    assert found["run_conflict"].body == conflict
    letter = found["internal_error"]
    assert letter.body == registration(13)
    assert letter.headers["x-error"] == "RaiseError: out of luck"
    assert letter.headers["x-attempt"] == 4
    tries = [event for event in worker.events if event["event"] == "registration_failed"]
    assert [event["attempt"] for event in tries] == [1, 2, 3, 4]
    assert {event["run_id"] for event in tries} == {13}


async def test_one_that_fails_for_a_moment_is_registered_later(system: System) -> None:
    await system.database.execute(FAULT)
    worker = await system.worker()
    await send_registration(system, 13)
    await worker.event("registration_failed", run_id=13)

    await system.database.execute("DROP TRIGGER fault ON runs")

    await registered(system, 13)
    await holds(system, system.topology.queued, 0)
    assert await system.depth(system.topology.dead) == 0


async def test_one_that_waits_for_its_next_try_is_not_lost_with_its_worker(system: System) -> None:
    await system.database.execute(FAULT)
    worker = await system.worker()
    for run_id in (13, 14):
        await send_registration(system, run_id)
    await worker.event("registration_failed", run_id=13)
    await registered(system, 14)
    await worker.kill()
    await system.database.execute("DROP TRIGGER fault ON runs")

    await system.worker()

    await registered(system, 13)
    await holds(system, system.topology.queued, 0)


async def _send_and_wait(system: System, runs: int) -> None:
    """Send registrations, and wait until a worker has them all."""
    for run_id in range(1, runs + 1):
        await send_registration(system, run_id)
    await holds(system, system.topology.queued, 0)


async def _told_once(system: System, listener: Listener, runs: int) -> None:
    """Each run has one event, which may be sent again."""
    await eventually(
        lambda: system.database.fetchval("SELECT count(*) FROM outbox"), lambda left: left == 0
    )
    ids = {event["id"]: event["subject"] for event in await listener.rest()}
    assert Counter(ids.values()) == Counter(str(run_id) for run_id in range(1, runs + 1))


def _sum(worker: Program, result: str) -> int:
    events = [event for event in worker.events if event["event"] == "runs_registered"]
    return sum(event[result] for event in events)
