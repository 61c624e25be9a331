"""Faults of one node of a broker cluster: the others go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from shared.amqp.topology import Topology
from tools.chaos.faults import SKIPPED, Scene, fault
from tools.chaos.system.network import Service
from tools.chaos.system.servers import ThreeNodes
from tools.services import Cluster, ServicesUnavailable
from tools.services.cluster.nodes import SIZE


@asynccontextmanager
async def _cluster(scene: Scene) -> AsyncIterator[Cluster]:
    """The cluster; all its nodes are up again afterward."""
    rabbit = scene.system.servers.rabbit
    assert isinstance(rabbit, ThreeNodes), "such a fault is only planned with a cluster"
    yield rabbit.nodes
    await asyncio.to_thread(rabbit.nodes.wait_joined)


def _any_queue(random: Random) -> str:
    topology = Topology()
    return random.choice([topology.cancel, topology.rest, topology.dead])


@fault(often=2, is_late=True, of_cluster=True, takes=Service.RABBIT)
async def leader_killed(scene: Scene, random: Random) -> str:
    """The node that leads a queue; the others elect a new one and go on."""
    queue, pause = _any_queue(random), random.uniform(0, 6)
    async with _cluster(scene) as cluster:
        leader = await asyncio.to_thread(cluster.leader_of, queue)
        await asyncio.to_thread(cluster.kill, leader)
        await asyncio.sleep(pause)
        await asyncio.to_thread(cluster.start, leader)
    return f"node {leader}, of {queue}, and started after {pause:.1f} s"


@fault(is_late=True, of_cluster=True, takes=Service.RABBIT)
async def partition(scene: Scene, random: Random) -> str:
    """A node loses the others, but not its clients; often for so long that it pauses.

    It notices after 4 to 7 s. If the network is whole before, some nodes may have noticed.
    """
    queue, follower = _any_queue(random), random.randrange(SIZE)
    leads, lasts = random.random() < 0.5, random.random() < 0.7
    seconds = random.uniform(0, 6) if lasts else random.uniform(1, 7)
    async with _cluster(scene) as cluster:
        node = await asyncio.to_thread(cluster.leader_of, queue) if leads else follower
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.to_thread(cluster.cut_off, node)
        except ServicesUnavailable as error:
            return f"{SKIPPED}{error}"
        if lasts:
            await asyncio.to_thread(cluster.wait_paused, node)
        await asyncio.sleep(seconds)
        has_paused = not await asyncio.to_thread(cluster.serves, node)
        await asyncio.to_thread(cluster.heal)
        took = asyncio.get_running_loop().time() - began
        await asyncio.to_thread(cluster.wait_for, node)
    which = f"node {node}, which led {queue}" if leads else f"node {node}"
    return f"of {which}, for {took:.1f} s; it {'had paused' if has_paused else 'had not paused'}"


@fault(is_late=True, of_cluster=True, takes=Service.RABBIT)
async def node_drained(scene: Scene, random: Random) -> str:
    """As for an upgrade: into maintenance, and then restarted or taken back."""
    node, seconds = random.randrange(SIZE), random.uniform(0, 4)
    is_restarted = random.random() < 0.5
    async with _cluster(scene) as cluster:
        await asyncio.to_thread(cluster.drain, node)
        await asyncio.sleep(seconds)
        if is_restarted:
            await asyncio.to_thread(cluster.stop, node)
            await asyncio.to_thread(cluster.start, node)
        else:
            await asyncio.to_thread(cluster.revive, node)
    return f"node {node}, and {'restarted' if is_restarted else 'revived'} after {seconds:.1f} s"


@fault(is_late=True, of_cluster=True, takes=Service.RABBIT)
async def queue_moved(scene: Scene, random: Random) -> str:
    """A queue loses the replica that leads it, gets a new one there, and leaders are spread."""
    queue, seconds = _any_queue(random), random.uniform(0, 4)
    async with _cluster(scene) as cluster:
        leader = await asyncio.to_thread(cluster.leader_of, queue)
        await asyncio.to_thread(cluster.remove_member, queue, leader)
        await asyncio.sleep(seconds)
        heir = await asyncio.to_thread(cluster.leader_of, queue)
        await asyncio.to_thread(cluster.grow, leader)
        await asyncio.to_thread(cluster.rebalance)
    return f"{queue} from node {leader} to {heir}, and back after {seconds:.1f} s"
