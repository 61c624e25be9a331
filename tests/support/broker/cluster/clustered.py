"""The system on a cluster, each node behind a proxy of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
from yarl import URL

from tests.support.http.api import Api
from tools.services import Cluster
from tools.support.program import Program
from tools.support.proxy import TcpProxy
from tools.support.system import System
from tools.support.waiting import eventually

SIZE = 3


@dataclass
class ClusteredSystem:
    """Programs have all nodes in AMQP_URL. Where a program first connects can be chosen."""

    system: System
    cluster: Cluster
    proxies: tuple[TcpProxy, ...]
    balancer: TcpProxy

    async def do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call a method of the cluster, which blocks, in a thread."""
        return await asyncio.to_thread(work, *arguments)

    @property
    def url(self) -> str:
        """Names all nodes."""
        url = URL(self.cluster.urls[0])
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies)
        return f"{url.scheme}://{url.raw_user}:{url.raw_password}@{hosts}/"

    async def gateway(self, node: int | None = None, **env: str) -> tuple[Program, Api]:
        """A gateway whose connections lead to `node`, as long as it can be used."""
        with self._only(node):
            program = await self.system.program(
                *("gateway", "serve", "--port", "0"), AMQP_URL=self.url, **env
            )
            url = str((await program.event("gateway_ready"))["url"])
        return program, Api(url, self.system.http, await self.system.token())

    async def worker(self, host: str, node: int | None = None) -> Program:
        """A worker whose connections lead to `node`, as long as it can be used."""
        with self._only(node):
            return await self.system.worker(host, env={"AMQP_URL": self.url})

    @contextmanager
    def _only(self, node: int | None) -> Iterator[None]:
        """Have only one node accept connections."""
        others = () if node is None else (p for n, p in enumerate(self.proxies) if n != node)
        refusing = tuple(others)
        for proxy in refusing:
            proxy.refuse()
        try:
            yield
        finally:
            for proxy in refusing:
                proxy.accept()

    async def leader_of(self, queue: str) -> int:
        return int(await self.do(self.cluster.leader_of, queue))

    async def whole(self, queue: str) -> None:
        """Wait until all replicas of a quorum queue take part."""
        await eventually(
            lambda: self.do(self.cluster.online_of, queue),
            lambda online: online == list(range(SIZE)),
            what=f"replicas of {queue}",
        )

    async def bring_back(self) -> None:
        """Mend whatever was broken, and give the test a channel that cannot have been lost."""
        await self.do(self.cluster.heal)
        await self.do(self.cluster.end_alarms)
        await self.do(self.cluster.end_maintenance)
        for node in set(range(SIZE)) - set(await self.do(self.cluster.running)):
            await self.do(self.cluster.launch, node)
        await self.do(self.cluster.wait_ready)
        connection = await aio_pika.connect(self.balancer.proxied)
        self.system.channel = await connection.channel(on_return_raises=True)

    @property
    def queues(self) -> list[str]:
        return self.system.topology.queues()


@asynccontextmanager
async def clustered_system(
    cluster: Cluster, database_url: str, directory: Path
) -> AsyncIterator[ClusteredSystem]:
    async with AsyncExitStack() as stack:
        balancer = await stack.enter_async_context(TcpProxy(*cluster.urls))
        proxies = [await stack.enter_async_context(TcpProxy(url)) for url in cluster.urls]
        system = System(database_url, balancer.proxied, directory)
        await stack.enter_async_context(system.running())
        clustered = ClusteredSystem(system, cluster, tuple(proxies), balancer)
        stack.push_async_callback(clustered.bring_back)
        yield clustered
