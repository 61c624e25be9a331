"""The node of a worker's connection fails while the worker is being stopped."""

import asyncio
import signal
from time import monotonic

from tests.support.broker.cluster.clustered import ClusteredSystem
from tests.support.launcher.launching import blocked_in_database, locked_run
from tools.support.waiting import eventually


async def test_what_the_worker_has_not_settled_goes_to_another_one(
    clustered: ClusteredSystem,
) -> None:
    system = clustered.system
    queue = system.topology.cancel
    leader = await clustered.leader_of(queue)
    beside = (leader + 1) % 3
    await system.add_run(1)
    worker = await clustered.worker("a", beside)
    async with locked_run(system, 1):
        command_id = await system.publish(1)
        await blocked_in_database(system, statements=1)

        worker.process.send_signal(signal.SIGTERM)
        await worker.event("worker_stopping")
        # If it canceled its consumer, RabbitMQ would keep the message for the failed node.
        until = monotonic() + 1
        while monotonic() < until:
            declared = await system.channel.declare_queue(queue, passive=True)
            assert declared.declaration_result.consumer_count == 1
            await asyncio.sleep(0.05)  # the pace of the looks
        await clustered.do(clustered.cluster.kill, beside)
        await worker.kill()
    await clustered.worker("b", leader)

    assert (await system.outcome_of(command_id))["outcome"] == "canceled"
    # The first worker may have decided on it in the end, but only the second one can acknowledge.
    await eventually(lambda: clustered.do(clustered.cluster.queue, queue), lambda q: not q.messages)
    assert await clustered.leader_of(queue) == leader
