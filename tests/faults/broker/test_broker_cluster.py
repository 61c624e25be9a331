"""A node of a broker cluster is killed in the middle of a storm of cancels, and comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import monotonic

import aio_pika
import pytest

from tests.support.broker.many_cancels import Storm
from tests.support.http.api import Api
from tools.services import Cluster, ServicesUnavailable, native_cluster
from tools.support.processes import until_gone
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System

HOSTS = ("a", "b")
RUNNING = range(1, 7)
QUEUED = range(100, 400)
BEFORE = 60
"""Cancels that are accepted before the node is killed."""
GOES_ON = 10.0
"""Seconds until the next cancel is accepted: an election and a new connection take about one."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    try:
        with native_cluster() as cluster:
            yield cluster
    except ServicesUnavailable as error:
        pytest.skip(f"a cluster needs a broker that is installed on this machine: {error}")


@dataclass
class ClusteredSystem:
    """The system on the cluster, behind a balancer."""

    system: System
    cluster: Cluster
    balancer: TcpProxy

    async def leader_of(self, queue: str) -> int:
        return await asyncio.to_thread(self.cluster.leader_of, queue)

    async def kill(self, node: int) -> None:
        await asyncio.to_thread(self.cluster.kill, node)

    async def bring_back(self) -> None:
        """Start what was killed, and give the test a channel that cannot have been lost."""
        for node in {0, 1, 2} - set(self.cluster.running()):
            await asyncio.to_thread(self.cluster.start, node)
        connection = await aio_pika.connect(self.balancer.proxied)
        self.system.channel = await connection.channel(on_return_raises=True)

    def connect_to(self, node: int) -> None:
        """Have the balancer send new connections there."""
        self.balancer.prefer(self.cluster.urls[node])

    @property
    def queues(self) -> list[str]:
        return self.system.topology.queues()


@pytest.fixture
async def clustered(
    cluster: Cluster, database_url: str, tmp_path: Path
) -> AsyncIterator[ClusteredSystem]:
    balancer = TcpProxy(*cluster.urls)
    await balancer.listen()
    async with System(database_url, balancer.proxied, tmp_path).running() as system:
        clustered = ClusteredSystem(system, cluster, balancer)
        try:
            yield clustered
        finally:
            await clustered.bring_back()
    await balancer.close()


@dataclass
class Scene:
    """Two workers, a gateway, six runs that must be killed and three hundred that wait."""

    clustered: ClusteredSystem
    storm: Storm
    workers: list[Program]
    marks: list[str]

    @classmethod
    async def prepare(cls, clustered: ClusteredSystem) -> "Scene":
        system = clustered.system
        workers = [await system.worker(host) for host in HOSTS]
        api = Api(await system.gateway(), system.http, await system.token())
        for run in QUEUED:
            await system.add_run(run)
        marks = []
        for run in RUNNING:
            socket = system.socket(HOSTS[run % 2])
            marks.append((await system.launch_bad_child(run, "ignores_term", socket=socket))[1])
        storm = Storm(api, clustered.balancer.proxied, system.topology)
        return cls(clustered, storm, workers, marks)

    async def lose(self, node: int) -> float:
        """Kill `node` in the middle of the storm; seconds until the next cancel is accepted."""
        direct = chain(RUNNING[:3], QUEUED[1:30:2], RUNNING[3:], QUEUED[31::2])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.storm.send(QUEUED[::2], direct, grace_seconds=1))
            await self.storm.has_accepted(BEFORE)
            await self.clustered.kill(node)
            killed = monotonic()
        return self.storm.next_after(killed)

    async def nothing_is_lost(self) -> None:
        """Every cancel that was accepted has its outcome, once, and the worker is well."""
        system = self.clustered.system
        for run in (*RUNNING, *QUEUED):
            await system.status_becomes(run, "canceled")
        for mark in self.marks:
            await until_gone(mark, deadline=0)
        for command_id in self.storm.commands.values():
            await system.outcome_of(command_id)
        for run, sent in self.storm.sent.items():
            outcomes = [row["outcome"] for row in await system.cancellations(run)]
            assert 1 <= len(outcomes) <= sent
            assert outcomes.count("canceled") == 1
            assert set(outcomes) <= {"canceled", "no_op"}
        for worker in self.workers:
            assert worker.process.returncode is None

    async def queues_drain(self) -> None:
        """Nothing is left in any queue, not even taken and unacknowledged."""
        end = monotonic() + 20
        while left := {queue: n for queue, n in (await self._messages()).items() if n}:
            assert monotonic() < end, f"left in the queues: {left}"

    async def _messages(self) -> dict[str, int]:
        node = self.clustered.cluster.running()[0]
        rows = await asyncio.to_thread(
            self.clustered.cluster.ctl, node, "list_queues", "--silent", "name", "messages"
        )
        found = dict(row.split("\t") for row in rows.splitlines())
        return {queue: int(found[queue]) for queue in self.clustered.queues}


@pytest.mark.parametrize("connected", ["to it", "elsewhere"])
async def test_the_leader_of_the_shared_queue_is_killed(
    clustered: ClusteredSystem, connected: str
) -> None:
    queue = clustered.system.topology.rest
    leader = await clustered.leader_of(queue)
    assert clustered.cluster.members_of(queue) == [0, 1, 2]
    clustered.connect_to(leader if connected == "to it" else (leader + 1) % 3)
    scene = await Scene.prepare(clustered)

    assert await scene.lose(leader) < GOES_ON
    await scene.nothing_is_lost()

    assert await clustered.leader_of(queue) != leader
    assert set(scene.storm.refused) <= {503}
    await clustered.bring_back()
    assert clustered.cluster.online_of(queue) == [0, 1, 2]
    await scene.queues_drain()


async def test_a_node_that_leads_nothing_is_killed(clustered: ClusteredSystem) -> None:
    leader = await clustered.leader_of(clustered.system.topology.cancel)
    clustered.connect_to(leader)
    scene = await Scene.prepare(clustered)

    assert await scene.lose((leader + 1) % 3) < GOES_ON
    await scene.nothing_is_lost()
    assert not scene.storm.refused
    assert await clustered.leader_of(clustered.system.topology.cancel) == leader
    await clustered.bring_back()
    await scene.queues_drain()
