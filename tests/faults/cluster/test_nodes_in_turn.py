"""The nodes of a cluster are restarted one after the other, as for an upgrade."""

from tests.support.broker.cluster.clustered import SIZE, ClusteredSystem
from tests.support.broker.cluster.drill import Drill

GOES_ON = 10.0
"""Seconds without an accepted cancel, at any of the three nodes."""


async def test_each_node_is_drained_stopped_and_started(clustered: ClusteredSystem) -> None:
    cluster, queue = clustered.cluster, clustered.system.topology.rest
    drill = await Drill.prepare(clustered, gateway_at=0, workers_at=0)

    async with drill.cancels():
        for node in range(SIZE):
            await clustered.do(cluster.drain, node)
            await clustered.do(cluster.stop, node)
            await clustered.do(cluster.start, node)
            # As `rabbitmq-upgrade await_online_quorum_plus_one` would: the next one may go.
            await clustered.whole(queue)

    assert await drill.nothing_is_lost("each node drained and restarted") < GOES_ON
    await drill.queues_drain()
