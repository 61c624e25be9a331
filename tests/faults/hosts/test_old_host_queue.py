"""What an older version left in its host's queue is settled, and the queue goes."""

import json
from uuid import uuid4

import aio_pika
from yarl import URL

from shared.commands import CANCEL_TYPE
from tools.support.processes import until_gone
from tools.support.system import System


async def _left_by_an_old_version(system: System, *run_ids: int) -> list[str]:
    """Declare the queue as it did, and send it what it forwarded."""
    topology = system.topology
    name = topology.old_host_queue(system.host)
    await system.channel.declare_queue(
        name,
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": topology.dead_exchange,
            "x-dead-letter-routing-key": name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delivery-limit": 20,
        },
    )
    commands = []
    for run_id in run_ids:
        commands.append(command_id := str(uuid4()))
        message = aio_pika.Message(
            json.dumps({"command_id": command_id, "run_id": run_id}).encode(),
            type=CANCEL_TYPE,
            message_id=command_id,
            user_id=URL(system.amqp_url).user,
            headers={
                "x-attempt": 1,
                "x-via": "rest",
                "x-original-exchange": topology.commands,
                "x-original-routing-key": "run.cancel.rest",
            },
        )
        await system.channel.default_exchange.publish(message, name, mandatory=True)
    return commands


async def test_its_commands_are_carried_out_and_it_is_removed(system: System) -> None:
    first = await system.worker()
    _, mark = await system.launch_bad_child(1, "obeys")
    await first.kill()
    await system.add_run(2)
    commands = await _left_by_an_old_version(system, 1, 2, 1)

    worker = await system.worker()

    for command_id in commands:
        row = await system.outcome_of(command_id)
        assert row["outcome"] in ("canceled", "no_op")
        assert row["via"] == "rest"
    await until_gone(mark, deadline=0)
    await worker.event("old_host_queue_removed")
    await worker.kill()
    again = await system.worker()
    await system.add_run(3)
    await system.outcome_of(await system.publish(3))
    assert not [event for event in again.events if event["event"].startswith("old_host_queue")]
    assert await system.depth(system.topology.dead) == 0


async def test_an_empty_one_is_removed(system: System) -> None:
    await _left_by_an_old_version(system)

    worker = await system.worker()

    await worker.event("old_host_queue_removed")


_OLD_WORKER = """
    INSERT INTO hosts (host, worker_id, boot_id, beat_seconds, privileges, seen_at)
    VALUES ('elsewhere', gen_random_uuid(), gen_random_uuid(), 5, '{"uid": 0}',
            clock_timestamp() - make_interval(mins => $1))
"""
"""A worker that was up before the migration, and registered as versions without wakes do."""


async def test_what_an_old_worker_forwards_meanwhile_is_carried_out(system: System) -> None:
    await system.database.execute(_OLD_WORKER, 0)
    worker = await system.worker(host_heartbeat=0.2)
    await worker.event("old_host_queue_found", forwarded_to=True)
    _, mark = await system.launch_bad_child(1, "obeys")

    (command,) = await _left_by_an_old_version(system, 1)

    assert (await system.outcome_of(command))["outcome"] == "canceled"
    await until_gone(mark, deadline=0)
    assert not [event for event in worker.events if event["event"] == "old_host_queue_removed"]
    await system.database.execute("UPDATE hosts SET left_at = now() WHERE host = 'elsewhere'")
    await worker.event("old_host_queue_removed")


async def test_nothing_is_kept_for_an_old_worker_that_died_long_ago(system: System) -> None:
    await system.database.execute(_OLD_WORKER, 61)
    await _left_by_an_old_version(system)

    worker = await system.worker()

    await worker.event("old_host_queue_removed")


async def test_no_worker_of_this_version_is_taken_for_an_old_one(system: System) -> None:
    await system.worker("another")
    await _left_by_an_old_version(system)

    worker = await system.worker()

    await worker.event("old_host_queue_found", forwarded_to=False)
    await worker.event("old_host_queue_removed")


async def test_a_queue_that_an_operator_deletes_is_there_again(system: System) -> None:
    await system.database.execute(_OLD_WORKER, 0)
    worker = await system.worker(host_heartbeat=0.2)
    await worker.event("old_host_queue_found")

    await system.channel.queue_delete(system.topology.old_host_queue(system.host))

    await worker.event("old_host_queue_found", count=2)
    await system.database.execute("DELETE FROM hosts WHERE host = 'elsewhere'")
    await worker.event("old_host_queue_removed")


async def test_an_old_worker_that_was_just_replaced_may_still_forward(system: System) -> None:
    await system.database.execute(_OLD_WORKER, 0)
    worker = await system.worker(host_heartbeat=0.2)
    await worker.event("old_host_queue_found")

    replacing = await system.worker("elsewhere", host_heartbeat=0.2)
    await replacing.event("old_host_queue_found", forwarded_to=True)

    minutes_ago = "UPDATE hosts SET wakes_since = now() - interval '2 minutes'"
    assert not [event for event in worker.events if event["event"] == "old_host_queue_removed"]
    await system.database.execute(f"{minutes_ago} WHERE host = 'elsewhere'")
    await worker.event("old_host_queue_removed")
