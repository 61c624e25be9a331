"""What tests and drills do with a cluster, wherever its nodes run."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from tools.services.amqp_probe import server_version
from tools.services.cluster.links import Link
from tools.services.model import ServerFailed, ServicesUnavailable

SIZE = 3
"""Nodes: the smallest number of which one may be lost, and a quorum queue's default replicas."""
TICK_SECONDS = 10
"""Erlang's net_ticktime: a silent node counts as down after 8 to 13 s. The default is 60."""
LEADER_SECONDS = 30.0
FORMING_SECONDS = 60
PAUSE_SECONDS = 3.0 * TICK_SECONDS
POLL_SECONDS = 0.1


class Tool(StrEnum):
    """A program of RabbitMQ's."""

    CTL = "rabbitmqctl"
    DIAGNOSTICS = "rabbitmq-diagnostics"
    QUEUES = "rabbitmq-queues"
    UPGRADE = "rabbitmq-upgrade"


class Cluster(ABC):
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
        """Wait until the nodes that launch_all() started form one cluster."""
        for node in range(SIZE):
            self.wait_for(node)
        self.wait_joined()

    def wait_joined(self) -> None:
        """Wait until all nodes are one cluster: they may accept clients before."""
        # A queue declared any earlier would have fewer than three members, for ever.
        self.ctl(0, "await_online_nodes", str(SIZE), "--timeout", str(FORMING_SECONDS))

    def wait_paused(self, node: int) -> None:
        """Wait until a node that is cut off has noticed it, and serves no clients."""
        url = urlsplit(self.urls[node])
        deadline = time.monotonic() + PAUSE_SECONDS
        while server_version(url.hostname or "", url.port or 0) is not None:
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.names[node]} did not pause")
            time.sleep(POLL_SECONDS)

    def start_all(self) -> None:
        """Start the nodes side by side and return once all of them form one cluster."""
        self.launch_all()
        self.wait_ready()

    def ctl(self, node: int, *arguments: str) -> str:
        """Run `rabbitmqctl` on a node and return what it printed."""
        return self.run(node, Tool.CTL, *arguments)

    def drain(self, node: int) -> None:
        """Put a node into maintenance: no clients, no leaders; its replicas take part no more."""
        self.run(node, Tool.UPGRADE, "drain")

    def revive(self, node: int) -> None:
        """End the maintenance of a node that was not restarted."""
        self.run(node, Tool.UPGRADE, "revive")

    def leader_of(self, queue: str) -> int:
        """The node that leads a quorum queue; waits out an election."""
        deadline = time.monotonic() + LEADER_SECONDS
        while (leader := self._column(queue, "leader")) not in self._names(self.running()):
            if time.monotonic() > deadline:
                raise ServerFailed(f"{queue} has no leader: {leader!r}")
            time.sleep(POLL_SECONDS)
        return self._number(leader)

    def members_of(self, queue: str) -> list[int]:
        """The nodes that hold a replica of a quorum queue, whether they run or not."""
        return sorted(map(self._number, _erlang_list(self._column(queue, "members"))))

    def online_of(self, queue: str) -> list[int]:
        """The nodes whose replica of a quorum queue takes part."""
        return sorted(map(self._number, _erlang_list(self._column(queue, "online"))))

    def grow(self, node: int, queues: str = ".*") -> None:
        """Give a node a replica of each queue that matches and has none there."""
        self.run(
            self._any(), Tool.QUEUES, "grow", self.names[node], "all", "--queue-pattern", queues
        )

    def remove_member(self, queue: str, node: int) -> None:
        """Take the replica of a quorum queue from a node."""
        self.run(self._any(), Tool.QUEUES, "delete_member", queue, self.names[node])

    def rebalance(self, queues: str = ".*") -> None:
        """Spread the leaders of the quorum queues that match over the nodes."""
        self.run(self._any(), Tool.QUEUES, "rebalance", "quorum", "--queue-pattern", queues)

    def messages(self) -> dict[str, int]:
        """The messages of each queue, those that are taken and not acknowledged included."""
        rows = self._list("name", "messages")
        return {name: int(count or 0) for name, _, count in (row.partition("\t") for row in rows)}

    def _column(self, queue: str, column: str) -> str:
        for row in self._list("name", column):
            name, _, value = row.partition("\t")
            if name == queue:
                return value.strip()
        raise ServerFailed(f"there is no queue {queue}")

    def _list(self, *columns: str) -> list[str]:
        return self.ctl(self._any(), "list_queues", "--silent", *columns).splitlines()

    def _any(self) -> int:
        """A node that can be asked about the cluster: one that is cut off knows nothing."""
        able = [node for node in self.running() if node != self._cut_off]
        if not able:
            raise ServerFailed("no node of the cluster is running")
        return able[0]

    def _names(self, nodes: list[int]) -> list[str]:
        return [self.names[number] for number in nodes]

    def _number(self, name: str) -> int:
        return self.names.index(name)


def formed_by(names: Sequence[str]) -> str:
    """The part of each node's configuration by which they find one another at the first start."""
    peers = [
        f"cluster_formation.classic_config.nodes.{number} = {name}\n"
        for number, name in enumerate(names, start=1)
    ]
    return (
        "cluster_formation.peer_discovery_backend = classic_config\n"
        "cluster_partition_handling = pause_minority\n"
        f"net_ticktime = {TICK_SECONDS}\n" + "".join(peers)
    )


def _erlang_list(text: str) -> list[str]:
    """Read what rabbitmqctl prints for a list of node names: `[a@localhost, b@localhost]`."""
    return [name.strip(" '\"") for name in text.strip("[]").split(",") if name.strip()]
