"""The network between the nodes of a cluster breaks, and clients still reach all of them."""

from typing import Final

import pytest

from tests.support.broker.cluster.clustered import ClusteredSystem
from tests.support.broker.cluster.drill import Drill
from tools.services.cluster.nodes import TICK_SECONDS

_NOTICED: Final = 1.25 * TICK_SECONDS
"""Seconds until the other nodes elect a leader: Erlang looks at silent nodes each quarter."""
_ASKED: Final = 7.0
"""Erlang's net_setuptime, seconds: a channel whose first message comes just before the election
asks the old leader, and waits until it cannot be connected."""
_CONFIRMED: Final = 5.0
"""The default of CANCEL_CONFIRM_TIMEOUT, after which the gateway gives up that wait."""
GOES_ON: Final = _NOTICED + _ASKED + _CONFIRMED


@pytest.mark.parametrize(
    ("alone", "leads"), [("gateway", True), ("workers", True), ("gateway", False)]
)
async def test_a_node_is_cut_off_from_the_others(
    clustered: ClusteredSystem, alone: str, leads: bool
) -> None:
    cluster, queue = clustered.cluster, clustered.system.topology.rest
    if await clustered.do(cluster.link, 0) is None:
        pytest.skip("only root can break the network between nodes")
    leader = await clustered.leader_of(queue)
    node = leader if leads else (leader + 1) % 3
    beside = (node + 1) % 3
    drill = await Drill.prepare(
        clustered,
        gateway_at=node if alone == "gateway" else beside,
        workers_at=node if alone == "workers" else beside,
    )

    async with drill.cancels():
        await clustered.do(cluster.cut_off, node)
        # The others go on, and it pauses once it notices.
        await drill.storm.has_accepted(len(drill.storm.accepted) + 100)
        await clustered.do(cluster.wait_paused, node)
        await clustered.do(cluster.heal)
        # It joins the others by itself, or is restarted as docs/rabbitmq.md says: see wait_for().
        await clustered.do(cluster.wait_for, node)

    place = "leader" if leads else "follower"
    assert await drill.nothing_is_lost(f"{place} cut off, with the {alone}") < GOES_ON
    if alone == "gateway":
        # It left that node after CANCEL_CONFIRM_TIMEOUT, or earlier if the node paused and closed
        # its connections before that: 0.75 to 1.25 ticks after the cut, 3.75 to 6.25 s.
        left_because = {"publishing_unanswered", "rabbitmq_session_failed"}
        assert left_because & {event["event"] for event in drill.gateway.events}
    await clustered.bring_back()
    assert await clustered.do(cluster.online_of, queue) == [0, 1, 2]
    await drill.queues_drain()
