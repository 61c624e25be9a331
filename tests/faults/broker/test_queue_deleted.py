"""A queue is deleted under its consumer, and it is declared anew."""

from shared.amqp.keys import CANCEL_KEY, REST_KEY
from tools.support.system import System


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
