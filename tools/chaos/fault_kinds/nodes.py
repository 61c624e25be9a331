"""Faults of one node of a broker cluster: the others go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from shared.amqp.topology import Topology
from tools.chaos.faults import NOT_NOW, Scene, fault
from tools.chaos.system.servers import ThreeNodes
from tools.services import Cluster, ServicesUnavailable
from tools.services.cluster.nodes import SIZE


@asynccontextmanager
async def _cluster(scene: Scene) -> AsyncIterator[Cluster | None]:
    """The cluster, all its nodes up and for this fault alone; None if another fault has it."""
    servers = scene.system.servers
    if servers.rabbit_lock.locked() or not isinstance(servers.rabbit, ThreeNodes):
        yield None
        return
    async with servers.rabbit_lock:
        yield servers.rabbit.nodes
        await asyncio.to_thread(servers.rabbit.nodes.wait_joined)


def _any_queue(random: Random) -> str:
    topology = Topology()
    return random.choice([topology.cancel, topology.rest, topology.dead])


@fault(often=2, is_late=True, of_cluster=True)
async def leader_killed(scene: Scene, random: Random) -> str:
    """The node that leads a queue; the others elect a new one and go on."""
    queue, pause = _any_queue(random), random.uniform(0, 6)
    async with _cluster(scene) as cluster:
        if cluster is None:
            return NOT_NOW
        leader = await asyncio.to_thread(cluster.leader_of, queue)
        await asyncio.to_thread(cluster.kill, leader)
        await asyncio.sleep(pause)
        await asyncio.to_thread(cluster.start, leader)
    return f"node {leader}, of {queue}, and started after {pause:.1f} s"


@fault(is_late=True, of_cluster=True)
async def partition(scene: Scene, random: Random) -> str:
    """A node loses the others, but not its clients. It notices after 4 to 7 s, and pauses."""
    node, seconds = random.randrange(SIZE), random.uniform(2, 20)
    async with _cluster(scene) as cluster:
        if cluster is None:
            return NOT_NOW
        try:
            await asyncio.to_thread(cluster.cut_off, node)
        except ServicesUnavailable as error:
            return f"skipped: {error}"
        await asyncio.sleep(seconds)
        await asyncio.to_thread(cluster.heal)
        await asyncio.to_thread(cluster.wait_for, node)
    return f"of node {node}, for {seconds:.1f} s"


@fault(is_late=True, of_cluster=True)
async def node_drained(scene: Scene, random: Random) -> str:
    """As for an upgrade: into maintenance, and then restarted or taken back."""
    node, seconds = random.randrange(SIZE), random.uniform(0, 4)
    is_restarted = random.random() < 0.5
    async with _cluster(scene) as cluster:
        if cluster is None:
            return NOT_NOW
        await asyncio.to_thread(cluster.drain, node)
        await asyncio.sleep(seconds)
        if is_restarted:
            await asyncio.to_thread(cluster.stop, node)
            await asyncio.to_thread(cluster.start, node)
        else:
            await asyncio.to_thread(cluster.revive, node)
    return f"node {node}, and {'restarted' if is_restarted else 'revived'} after {seconds:.1f} s"


@fault(is_late=True, of_cluster=True)
async def queue_moved(scene: Scene, random: Random) -> str:
    """A queue loses the replica that leads it, gets a new one there, and leaders are spread."""
    queue, seconds = _any_queue(random), random.uniform(0, 4)
    async with _cluster(scene) as cluster:
        if cluster is None:
            return NOT_NOW
        leader = await asyncio.to_thread(cluster.leader_of, queue)
        await asyncio.to_thread(cluster.remove_member, queue, leader)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(cluster.grow, leader)
        await asyncio.to_thread(cluster.rebalance)
    return f"{queue} from node {leader}, and back after {seconds:.1f} s"
