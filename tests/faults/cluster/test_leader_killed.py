"""A node of a broker cluster is killed in the middle of a storm of cancels, and comes back."""

import pytest

from tests.support.broker.cluster.clustered import ClusteredSystem
from tests.support.broker.cluster.drill import Drill

GOES_ON = 10.0
"""Seconds until the next cancel is accepted: an election and a new connection take about one."""


@pytest.mark.parametrize("connected", ["to it", "elsewhere"])
async def test_the_leader_of_the_shared_queue_is_killed(
    clustered: ClusteredSystem, connected: str
) -> None:
    cluster, queue = clustered.cluster, clustered.system.topology.rest
    leader = await clustered.leader_of(queue)
    assert await clustered.do(cluster.members_of, queue) == [0, 1, 2]
    node = leader if connected == "to it" else (leader + 1) % 3
    drill = await Drill.prepare(clustered, gateway_at=node, workers_at=node)

    async with drill.cancels():
        await clustered.do(cluster.kill, leader)

    assert await drill.nothing_is_lost(f"leader killed, connected {connected}") < GOES_ON
    assert await clustered.leader_of(queue) != leader
    await clustered.bring_back()
    assert await clustered.do(cluster.online_of, queue) == [0, 1, 2]
    await drill.queues_drain()


async def test_a_node_that_leads_nothing_is_killed(clustered: ClusteredSystem) -> None:
    cluster, queue = clustered.cluster, clustered.system.topology.cancel
    leader = await clustered.leader_of(queue)
    drill = await Drill.prepare(clustered, gateway_at=leader, workers_at=leader)

    async with drill.cancels():
        await clustered.do(cluster.kill, (leader + 1) % 3)

    assert await drill.nothing_is_lost("another node killed") < GOES_ON
    assert not drill.storm.refused
    assert await clustered.leader_of(queue) == leader
    await clustered.bring_back()
    await drill.queues_drain()
