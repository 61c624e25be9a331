"""The nodes of a cluster, wherever they run: start, stop, kill, ask, cut off."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from tools.services.amqp_probe import server_version
from tools.services.cluster.links import Link
from tools.services.model import ServerFailed, ServicesUnavailable

SIZE: Final = 3
"""Nodes: the smallest number of which one may be lost, and a quorum queue's default replicas."""
TICK_SECONDS: Final = 5
"""Erlang's net_ticktime: a silent node counts as down after 4 to 7 s. The default is 60; docs/
rabbitmq.md asks for 10, but here it is waited for."""
POLL_SECONDS: Final = 0.1
_FORMING_SECONDS: Final = 60
_JOINED: Final = "integer_to_list(length(rabbit_nodes:all_running()))"
_PAUSE_SECONDS: Final = 6.0 * TICK_SECONDS


class Tool(StrEnum):
    """A program of RabbitMQ's."""

    CTL = "rabbitmqctl"
    QUEUES = "rabbitmq-queues"
    UPGRADE = "rabbitmq-upgrade"


class Nodes(ABC):
    """Nodes are named by their number, from 0.

    Every method blocks; each wait is bounded and ends in ServerFailed.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        """Erlang's names of the nodes, in order."""
        self._cut_off: int | None = None

    @property
    @abstractmethod
    def urls(self) -> tuple[str, ...]:
        """The URL of each node, in order, with user and password."""

    @property
    @abstractmethod
    def version(self) -> str:
        """The version of the broker, such as 3.10.8."""

    @abstractmethod
    def launch(self, node: int) -> None:
        """Start a node without waiting for it."""

    @abstractmethod
    def wait_for(self, node: int) -> None:
        """Wait until a node that was launched accepts clients."""

    @abstractmethod
    def kill(self, node: int) -> None:
        """Kill a node with SIGKILL, as a crash of its machine would."""

    @abstractmethod
    def stop(self, node: int) -> None:
        """Stop a node in order, as a rolling upgrade would."""

    @abstractmethod
    def running(self) -> list[int]:
        """The nodes whose processes are there."""

    @abstractmethod
    def run(self, node: int, tool: Tool, *arguments: str) -> str:
        """Run a tool on a node and return what it printed."""

    @abstractmethod
    def ask(self, node: int, text: str) -> str:
        """The value of an Erlang expression that is a text, on a node that runs."""

    @abstractmethod
    def link(self, node: int) -> Link | None:
        """How a running node is reached by the others; None if that cannot be broken here."""

    def cut_off(self, node: int) -> None:
        """Drop all packets between a node and the others. Clients still reach every node.

        Heal it before a node is started again: addresses of a new process are not blocked.
        """
        self._cut_off = node
        for one, other in self._links_of(node):
            one.block(other)
            other.block(one)

    def heal(self) -> None:
        """Deliver packets again between the node that was cut off, if any, and the others."""
        if self._cut_off is not None:
            for one, other in self._links_of(self._cut_off):
                one.unblock(other)
                other.unblock(one)
        self._cut_off = None

    def _links_of(self, node: int) -> Iterator[tuple[Link, Link]]:
        links = {each: self.link(each) for each in self.running()}
        for other, link in links.items():
            if other != node:
                mine = links[node]
                if mine is None or link is None:
                    raise ServicesUnavailable("only root can break the network between nodes")
                yield mine, link

    def start(self, node: int) -> None:
        """Start a node again and return once it is back in the cluster and serves clients."""
        self.launch(node)
        self.wait_for(node)

    def launch_all(self) -> None:
        """Start the nodes without waiting for them."""
        for node in range(SIZE):
            self.launch(node)

    def wait_ready(self) -> None:
        """Wait until the nodes, which were all launched, form one cluster."""
        for node in range(SIZE):
            self.wait_for(node)
        self.wait_joined()

    def wait_joined(self) -> None:
        """Wait until all nodes are one cluster: they may accept clients before."""
        # A queue declared any earlier would have fewer than three members, for ever.
        deadline = time.monotonic() + _FORMING_SECONDS
        for node in range(SIZE):
            while (joined := self.ask(node, _JOINED)) != str(SIZE):
                if time.monotonic() > deadline:
                    raise ServerFailed(f"{self.names[node]} is one of {joined} nodes, not {SIZE}")
                time.sleep(POLL_SECONDS)

    def wait_paused(self, node: int) -> None:
        """Wait until a node that is cut off has noticed it, and serves no clients."""
        deadline = time.monotonic() + _PAUSE_SECONDS
        while self.serves(node):
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.names[node]} did not pause")
            time.sleep(POLL_SECONDS)

    def serves(self, node: int) -> bool:
        """Whether a node accepts clients."""
        url = urlsplit(self.urls[node])
        return server_version(url.hostname or "", url.port or 0) is not None

    def start_all(self) -> None:
        """Start the nodes side by side and return once all of them form one cluster."""
        self.launch_all()
        self.wait_ready()

    def ctl(self, node: int, *arguments: str) -> str:
        """Run `rabbitmqctl` on a node and return what it printed."""
        return self.run(node, Tool.CTL, *arguments)

    def any_able(self) -> int:
        """A node that can be asked about the cluster: one that is cut off knows nothing."""
        able = [node for node in self.running() if node != self._cut_off]
        if not able:
            raise ServerFailed("no node of the cluster is running")
        return able[0]


def formed_by(names: Sequence[str]) -> str:
    """The part of each node's configuration by which they find one another at the first start."""
    peers = [
        f"cluster_formation.classic_config.nodes.{number} = {name}\n"
        for number, name in enumerate(names, start=1)
    ]
    return (
        "cluster_formation.peer_discovery_backend = classic_config\n"
        "cluster_partition_handling = pause_minority\n"
        f"net_ticktime = {TICK_SECONDS}\n"
        # What else happens is lost among the elections of all queues.
        "log.queue.level = warning\n"
        "log.ra.level = warning\n" + "".join(peers)
    )
