"""Three RabbitMQ nodes of our own that form a cluster, each of which may be killed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tools.services.model import ServerFailed
from tools.services.native.rabbitmq import PrivateRabbit, Secrets, installed_rabbit
from tools.services.port_mapper import PortMapper
from tools.services.sandbox import Sandbox

SIZE = 3
"""Nodes: the smallest number of which one may be lost, and a quorum queue's default replicas."""
LEADER_SECONDS = 30.0
FORMING_SECONDS = 60
POLL_SECONDS = 0.1


class PrivateCluster:
    """A cluster on 127.0.0.1. Nodes are named by their number, from 0.

    Every method blocks; each wait is bounded and ends in ServerFailed.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Prepare the nodes in ``sandbox``. Raises ServicesUnavailable if none is installed."""
        programs = installed_rabbit()
        names = [f"run_cancel_{number}@localhost" for number in range(SIZE)]
        port_mapper, secrets = PortMapper(sandbox, programs.epmd), Secrets()
        self.nodes = tuple(
            PrivateRabbit(
                sandbox,
                programs,
                name=name,
                port_mapper=port_mapper,
                secrets=secrets,
                configuration=_formed_by(names),
            )
            for name in names
        )

    @property
    def urls(self) -> tuple[str, ...]:
        """The URL of each node, in order."""
        return tuple(node.url for node in self.nodes)

    @property
    def version(self) -> str:
        return self.nodes[0].version

    def start_all(self) -> None:
        """Start the nodes side by side and return once all of them form one cluster."""
        self.launch_all()
        self.wait_ready()

    def launch_all(self) -> None:
        """Start the nodes without waiting for them."""
        for node in self.nodes:
            node.launch()

    def wait_ready(self) -> None:
        """Wait until the nodes that launch_all() started form one cluster."""
        for node in self.nodes:
            node.wait_ready()
        # A queue declared any earlier would have fewer than three members, for ever.
        self.ctl(0, "await_online_nodes", str(SIZE), "--timeout", str(FORMING_SECONDS))

    def kill(self, node: int) -> None:
        """Kill a node with SIGKILL, as a crash of its machine would."""
        self.nodes[node].kill()

    def stop(self, node: int) -> None:
        """Stop a node in order, as a rolling upgrade would."""
        self.nodes[node].stop()

    def start(self, node: int) -> None:
        """Start a node again and return once it is back in the cluster and serves clients."""
        self.nodes[node].start()

    def ctl(self, node: int, *arguments: str) -> str:
        """Run `rabbitmqctl` on a node and return what it printed."""
        return self.nodes[node].ctl(*arguments)

    def running(self) -> list[int]:
        """The nodes whose processes are there."""
        return [number for number, node in enumerate(self.nodes) if node.is_running]

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

    def _column(self, queue: str, column: str) -> str:
        rows = self._ask("list_queues", "--silent", "name", column)
        for row in rows.splitlines():
            name, _, value = row.partition("\t")
            if name == queue:
                return value.strip()
        raise ServerFailed(f"there is no queue {queue}")

    def _ask(self, *arguments: str) -> str:
        running = self.running()
        if not running:
            raise ServerFailed("no node of the cluster is running")
        return self.ctl(running[0], *arguments)

    def _names(self, nodes: list[int]) -> list[str]:
        return [self.nodes[number].name for number in nodes]

    def _number(self, name: str) -> int:
        return self._names(list(range(SIZE))).index(name)


@contextmanager
def private_cluster() -> Iterator[PrivateCluster]:
    """Run a cluster for the length of the block. Raises ServicesUnavailable and ServerFailed."""
    with Sandbox() as sandbox:
        cluster = PrivateCluster(sandbox)
        cluster.start_all()
        yield cluster


def _formed_by(names: list[str]) -> str:
    """The part of each node's configuration by which they find one another at the first start."""
    peers = [
        f"cluster_formation.classic_config.nodes.{number} = {name}\n"
        for number, name in enumerate(names, start=1)
    ]
    return "cluster_formation.peer_discovery_backend = classic_config\n" + "".join(peers)


def _erlang_list(text: str) -> list[str]:
    """Read what rabbitmqctl prints for a list of node names: `[a@localhost, b@localhost]`."""
    return [name.strip(" '\"") for name in text.strip("[]").split(",") if name.strip()]
