"""What happened is told at least once, whatever ends between its record and the confirm."""

import asyncio
from collections.abc import Iterable

from tests.support.broker.event_listener import Json, listening, until_told
from tests.support.postgres.commit_proxy import CommitProxy
from tools.support.proxy import TcpProxy
from tools.support.rows import PASS, insert_run
from tools.support.system import System
from tools.support.waiting import eventually

RUNS = 500
KILLS = 6
BATCH = 200
DECLINED = 3_000
"""More than are tried in ten seconds, were each to cost a channel."""


def in_order(events: Iterable[Json]) -> dict[str, list[int]]:
    """By run, the numbers of its events as they were heard of first."""
    heard: dict[str, list[int]] = {}
    for event in events:
        numbers = heard.setdefault(event["subject"], [])
        if (number := int(event["sequence"])) not in numbers:
            numbers.append(number)
    return heard


async def write(system: System, kind: str, number: int, *, of_one_run: bool = False) -> None:
    await system.database.execute(
        "INSERT INTO outbox (type, run_id, data)"
        " SELECT $1, CASE WHEN $3 THEN 1 ELSE n END, '{}' FROM generate_series(1, $2) n",
        kind,
        number,
        of_one_run,
    )


async def cancel_all(system: System) -> None:
    for run_id in range(1, RUNS + 1):
        await system.add_run(run_id)
    await asyncio.gather(*(system.publish(run_id) for run_id in range(1, RUNS + 1)))


async def until_canceled(system: System) -> None:
    """Return once all of them are. Before that, the outbox may be empty as well."""
    canceled = "SELECT count(*) FROM runs WHERE status = 'canceled'"
    await eventually(lambda: system.database.fetchval(canceled), lambda number: number == RUNS)


async def test_a_worker_that_is_killed_again_and_again_tells_of_each_run_in_order(
    system: System,
) -> None:
    await (await system.worker()).stop()
    async with listening(system) as listener:
        await cancel_all(system)
        heard: list[Json] = []
        for _ in range(KILLS):
            worker = await system.worker()
            heard += await listener.take(50)
            await worker.kill()
        await system.worker(host_heartbeat=0.2)
        await until_canceled(system)
        await until_told(system)
        heard += await listener.rest()

    told = in_order(heard)
    assert len(told) == RUNS
    assert all(len(numbers) == 2 and numbers == sorted(numbers) for numbers in told.values())


async def test_what_was_published_without_its_removal_is_published_again(
    system: System, commits: CommitProxy
) -> None:
    await (await system.worker()).stop()
    async with listening(system) as listener:
        worker = await system.worker(env={"DATABASE_URL": commits.proxied})
        await system.add_run(1)
        async with system.database.acquire() as connection, connection.transaction():
            # Whoever publishes has to wait here, after it was recorded and before it is told.
            await connection.execute("SELECT FROM turns WHERE name = 'relay' FOR UPDATE")
            await system.outcome_of(await system.publish(1))
            commits.hold()
        first = await listener.take(2)
        await commits.held.wait()
        await worker.kill()
        await commits.cut()
        rest = "SELECT count(*) FROM outbox WHERE type <> 'run.registered'"
        assert await system.database.fetchval(rest) == 2

        await system.worker(host_heartbeat=0.2)

        again = await listener.take(2)
    assert {event["id"] for event in again} == {event["id"] for event in first}


async def test_what_happens_while_the_broker_is_away_is_told_later(
    system: System, broker: TcpProxy
) -> None:
    await (await system.worker()).stop()
    async with listening(system) as listener:
        worker = await system.worker(env={"AMQP_URL": broker.proxied}, confirm_timeout=1)
        launched, _ = await system.launch_bad_child(1, "obeys")
        broker.refuse()
        await broker.cut()

        launched.process.terminate()
        await launched.exit_code()
        await worker.event("events_not_published")
        assert await system.database.fetchval("SELECT count(*) FROM outbox") == 1
        broker.accept()

        (finished,) = await listener.take(1)
    assert finished["data"]["status"] == "fail"
    await until_told(system)


async def test_of_several_workers_one_tells_at_a_time(system: System) -> None:
    for host in ("h1", "h2", "h3"):
        await system.worker(host=host)
    async with listening(system) as listener:
        await cancel_all(system)
        await until_canceled(system)
        await until_told(system)
        heard = await listener.rest()

    told = in_order(heard)
    assert len(told) == RUNS
    assert len(heard) == 2 * RUNS, "told twice, though nothing failed"
    assert all(numbers == sorted(numbers) for numbers in told.values())


async def test_a_queue_that_is_full_keeps_no_other_from_its_events(system: System) -> None:
    worker = await system.worker(host_heartbeat=0.2)
    full = await system.channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await full.bind(system.topology.events, "run.finished")
    for run_id in (1, 2):  # the first one's end fills it, the second one's is declined
        await system.add_run(run_id)
        await system.outcome_of(await system.publish(run_id))
    await worker.event("events_declined")
    given_up = await worker.event("publishing_declined")
    assert given_up["connection"].endswith(" events"), "commands are not to suffer for it"
    await insert_run(system.database, 3, PASS)

    async with listening(system, "cancel.settled") as listener:
        asked = {await system.publish(3) for _ in range(RUNS)}
        told = await listener.take(RUNS)

    assert {event["data"]["command_id"] for event in told if event["subject"] == "3"} >= asked
    assert await system.database.fetchval("SELECT count(*) FROM outbox WHERE run_id = 2")
    await full.unbind(system.topology.events, "run.finished")
    await until_told(system)


async def test_what_is_not_taken_for_a_day_is_not_told_any_more(system: System) -> None:
    await (await system.worker()).stop()
    await system.database.execute(
        "INSERT INTO outbox (type, run_id, at, data)"
        " SELECT 'run.finished', n, now() - n * interval '13 h', '{}' FROM generate_series(1, 3) n"
    )
    async with listening(system) as listener:
        worker = await system.worker()

        (told,) = await listener.take(1)

    assert told["subject"] == "1"
    assert (await worker.event("events_dropped"))["count"] == 2


async def test_thousands_of_declined_events_keep_no_other_queue_from_its_events(
    system: System,
) -> None:
    await (await system.worker()).stop()
    full = await system.channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await full.bind(system.topology.events, "run.finished")
    await write(system, "run.finished", DECLINED)
    await write(system, "cancel.settled", 1)
    async with listening(system, "cancel.settled") as listener:
        worker = await system.worker(host_heartbeat=0.2)

        await listener.take(1)

    unanswered = [event for event in worker.events if event["event"] == "events_not_published"]
    assert not unanswered, "one that is declined leaves the others in flight without an answer"
    assert await system.database.fetchval("SELECT count(*) FROM outbox") >= DECLINED - 1
    await full.unbind(system.topology.events, "run.finished")
    await until_told(system)


async def test_of_a_slow_batch_what_was_told_is_removed_before_its_end(
    system: System, broker: TcpProxy
) -> None:
    await (await system.worker()).stop()
    await write(system, "run.finished", BATCH, of_one_run=True)
    async with listening(system) as listener:
        broker.slow(0.1)  # there and back: 40 s for the batch, and a session is idle for 30
        await system.worker(env={"AMQP_URL": broker.proxied}, host_heartbeat=0.2)
        left = await eventually(
            lambda: system.database.fetchval("SELECT count(*) FROM outbox"),
            lambda left: left < BATCH,
        )
        broker.resume()
        await until_told(system)
        heard = await listener.rest()

    assert left > 0
    assert in_order(heard)["1"] == sorted({int(event["sequence"]) for event in heard})
    assert len(heard) == BATCH, "told twice, though nothing failed"
