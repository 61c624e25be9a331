"""The replicas and the leader of a queue move to other nodes while it is in use."""

from tests.support.broker.cluster.clustered import SIZE, ClusteredSystem
from tests.support.broker.cluster.drill import Drill

GOES_ON = 10.0
"""Seconds without an accepted cancel: an election."""


async def test_a_queue_leaves_a_node_and_comes_back(clustered: ClusteredSystem) -> None:
    cluster, queue = clustered.cluster, clustered.system.topology.rest
    leader = await clustered.leader_of(queue)
    drill = await Drill.prepare(clustered, gateway_at=leader, workers_at=leader)

    async with drill.cancels():
        for each in (queue, clustered.system.topology.cancel):
            await clustered.do(cluster.remove_member, each, leader)
            assert await clustered.leader_of(each) != leader
        await drill.storm.has_accepted(len(drill.storm.accepted) + 40)
        await clustered.do(cluster.grow, leader)
        await clustered.whole(queue)
        await clustered.do(cluster.rebalance)

    assert await drill.nothing_is_lost("queue moved") < GOES_ON
    assert await clustered.do(cluster.members_of, queue) == list(range(SIZE))
    await drill.queues_drain()
