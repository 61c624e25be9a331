"""Postgres and RabbitMQ of a round: always private and native, to be killed at will."""

import asyncio
from typing import Protocol

from tools.chaos.system.network import Service
from tools.chaos.system.postgres import OneServer, Postgres, TwoServers
from tools.chaos.system.turns import Turns
from tools.services import NativeCluster, PrivateRabbit, Replication, Sandbox


class Broker(Protocol):
    """What faults and checks ask of a broker, be it one node or several."""

    @property
    def urls(self) -> tuple[str, ...]: ...
    def launch(self) -> None: ...
    def wait_ready(self) -> None: ...
    def kill(self) -> None: ...
    def ctl(self, *arguments: str) -> str: ...
    def ask(self, text: str) -> str: ...


class OneNode:
    def __init__(self, sandbox: Sandbox) -> None:
        self._node = PrivateRabbit(sandbox)
        self.launch = self._node.launch
        self.wait_ready = self._node.wait_ready
        self.kill = self._node.kill
        self.ctl = self._node.ctl
        self.ask = self._node.ask

    @property
    def urls(self) -> tuple[str, ...]:
        return (self._node.url,)


class ThreeNodes:
    """A cluster, of which a fault may take one node or all."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.nodes = NativeCluster(sandbox)
        self.launch = self.nodes.launch_all
        self.wait_ready = self.nodes.wait_ready

    @property
    def urls(self) -> tuple[str, ...]:
        return self.nodes.urls

    def kill(self) -> None:
        for node in self.nodes.running():
            self.nodes.kill(node)

    def ctl(self, *arguments: str) -> str:
        return self.nodes.ctl(self.nodes.any_able(), *arguments)

    def ask(self, text: str) -> str:
        return self.nodes.ask(self.nodes.any_able(), text)


class Servers:
    """A fault that takes one of them down keeps the others off it meanwhile."""

    def __init__(
        self, sandbox: Sandbox, *, cluster: bool, replication: Replication | None = None
    ) -> None:
        """`replication`: of the primary to its standby; None: there is no standby."""
        self.rabbit: Broker = ThreeNodes(sandbox) if cluster else OneNode(sandbox)
        self.postgres: Postgres = (
            OneServer(sandbox) if replication is None else TwoServers(sandbox, replication)
        )
        self.turns = {service: Turns() for service in Service}

    async def start(self) -> None:
        """The broker takes longest: it boots while initdb runs."""
        await asyncio.to_thread(self.rabbit.launch)
        await asyncio.to_thread(self.postgres.start)
        await asyncio.to_thread(self.rabbit.wait_ready)

    def end_turns(self) -> None:
        """The load is over."""
        for turns in self.turns.values():
            turns.end()

    async def ctl(self, *arguments: str) -> str:
        return await asyncio.to_thread(self.rabbit.ctl, *arguments)

    async def ask(self, text: str) -> str:
        """The value of an Erlang expression that is a text, on a node that runs."""
        return await asyncio.to_thread(self.rabbit.ask, text)
