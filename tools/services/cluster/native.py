"""A cluster of the broker that is installed on this machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.services.cluster.cluster import Cluster
from tools.services.cluster.links import Link, can_block
from tools.services.cluster.namespaces import NodeNetwork
from tools.services.cluster.nodes import SIZE, Tool, formed_by
from tools.services.native.place import Place
from tools.services.native.rabbit_state import StartHangs
from tools.services.native.rabbitmq import PrivateRabbit, Secrets, installed_rabbit
from tools.services.port_mapper import PortMapper
from tools.services.sandbox import Sandbox


class NativeCluster(Cluster):
    """For root, each node has a network namespace. For others, all are on 127.0.0.1."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Prepare the nodes in ``sandbox``. Raises ServicesUnavailable if none is installed."""
        programs, secrets = installed_rabbit(), Secrets()
        self._links = NodeNetwork(sandbox, SIZE).links if can_block() else ()
        places = [Place(link.address, link.pid) for link in self._links] or [Place()] * SIZE
        hosts = [link.address for link in self._links] or ["localhost"] * SIZE
        super().__init__([f"run_cancel_{number}@{host}" for number, host in enumerate(hosts)])
        self.nodes = [
            PrivateRabbit(
                sandbox,
                programs,
                name=name,
                place=place,
                port_mapper=port_mapper,
                secrets=secrets,
                configuration=formed_by(self.names),
            )
            for name, place, port_mapper in zip(
                self.names, places, _port_mappers(sandbox, programs.epmd, places), strict=True
            )
        ]

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(node.url for node in self.nodes)

    @property
    def version(self) -> str:
        return self.nodes[0].version

    def launch(self, node: int) -> None:
        self.nodes[node].launch()

    def wait_for(self, node: int) -> None:
        try:
            self.nodes[node].wait_ready()
        except StartHangs as hangs:
            # What docs/rabbitmq.md tells an operator to do, with the same words in the log.
            print(f"{hangs}: restarted")
            self.stop(node)
            self.launch(node)
            self.nodes[node].wait_ready()

    def kill(self, node: int) -> None:
        self.nodes[node].kill()

    def stop(self, node: int) -> None:
        self.nodes[node].stop()

    def running(self) -> list[int]:
        return [number for number, node in enumerate(self.nodes) if node.is_running]

    def run(self, node: int, tool: Tool, *arguments: str) -> str:
        return self.nodes[node].run(str(tool), *arguments)

    def ask(self, node: int, text: str) -> str:
        return self.nodes[node].ask(text)

    def link(self, node: int) -> Link | None:
        return self._links[node] if self._links else None


def _port_mappers(sandbox: Sandbox, epmd: Path, places: Sequence[Place]) -> list[PortMapper]:
    """One for each place. A node looks for those of the others at the port of its own."""
    made: dict[Place, PortMapper] = {}
    port = None
    for place in places:
        if place not in made:
            made[place] = PortMapper(sandbox, epmd, place=place, port=port)
            port = made[place].port
    return [made[place] for place in places]


@contextmanager
def native_cluster() -> Iterator[NativeCluster]:
    """Run a cluster for the length of the block. Raises ServicesUnavailable and ServerFailed."""
    with Sandbox() as sandbox:
        cluster = NativeCluster(sandbox)
        cluster.start_all()
        yield cluster
