"""A queue is deleted under its consumer, and it is declared anew."""

from typing import Final

import pytest

from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY, REST_KEY
from tools.support.system import System

BODY: Final = b"neither a command nor a registration"


async def test_a_deleted_queue_is_declared_and_consumed_again(system: System) -> None:
    worker = await system.worker()
    deleted = (
        (system.topology.cancel, CANCEL_KEY),
        (system.topology.rest, REST_KEY),
    )
    for count, (queue, key) in enumerate(deleted, 2):
        await system.channel.queue_delete(queue)
        await worker.event("consuming", count=count)

        await system.add_run(count)
        command_id = await system.publish(count, key=key)
        assert (await system.outcome_of(command_id))["outcome"] == "canceled"


async def test_so_are_the_dead_letters(system: System) -> None:
    worker = await system.worker(keep_dead_letters="true")
    await worker.event("keeping_dead_letters")
    # The last of the connections that declare the queue: one could declare it anew at once.
    await worker.event("registering")
    await system.channel.queue_delete(system.topology.dead)
    await worker.event("keeping_dead_letters", count=2)

    await system.publish_raw(b"not a command")
    await worker.event("dead_letters_kept")


@pytest.mark.parametrize("key", [CANCEL_KEY, QUEUED_KEY])
async def test_what_it_was_to_hold_is_sent_again(system: System, key: str) -> None:
    worker = await system.worker()
    await system.channel.queue_delete(system.topology.dead)

    await system.publish_raw(BODY, key)

    await worker.event("service_unavailable")
    assert (await system.dead_letter()).body == BODY


async def test_so_is_a_command_that_was_to_be_retried(system: System) -> None:
    worker = await system.worker()
    await system.channel.queue_delete(system.topology.retry(1))

    command_id = await system.publish(1)

    await worker.event("service_unavailable")
    await system.add_run(1)
    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
