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
