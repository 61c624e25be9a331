"""A cluster of containers of the RabbitMQ image, on a network of their own.

testcontainers is imported late: it takes a while and reads the environment.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any, Final

from tools.services.amqp_probe import server_version
from tools.services.cluster.cluster import Cluster
from tools.services.cluster.links import Link, can_block
from tools.services.cluster.nodes import SIZE, Tool, formed_by
from tools.services.cluster.subnets import address_of, address_of_host, random_subnet
from tools.services.containers.engine import RABBIT_IMAGE, USER, Say, have_images
from tools.services.erlang import printed, printing
from tools.services.model import ServerFailed

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

_PORT: Final = 5672
_INTERFACE: Final = "eth0"
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 60
_POLL_SECONDS: Final = 0.1
_SHOWN_LINES: Final = 20
_CONFIGURATION: Final = "/etc/rabbitmq/conf.d/20-cluster.conf"


class ContainerCluster(Cluster):
    """Nodes are reached by their addresses, so the engine must be one of this machine."""

    def __init__(self, stack: ExitStack) -> None:
        """Make the network and prepare the containers; `stack` removes them."""
        super().__init__([f"rabbit@node{number}" for number in range(SIZE)])
        self._password = secrets.token_urlsafe(18)
        self._cookie = secrets.token_hex(20)
        self._subnet = random_subnet()
        self._version = "unknown"
        network = stack.enter_context(_network(self._subnet))
        self._containers = [self._container(number, network) for number in range(SIZE)]
        self._started: dict[int, Any] = {}
        for container in self._containers:
            stack.callback(container.stop)

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(
            f"amqp://{USER}:{self._password}@{self._address(node)}:{_PORT}/" for node in range(SIZE)
        )

    @property
    def version(self) -> str:
        return self._version

    def launch(self, node: int) -> None:
        if node in self._started:
            self._started[node].start()
        else:
            container = self._containers[node]
            container.start()
            self._started[node] = container.get_wrapped_container()

    def wait_for(self, node: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while (version := server_version(self._address(node), _PORT)) is None:
            container = self._started[node]
            container.reload()
            if container.status != "running" or time.monotonic() > deadline:
                output = container.logs(tail=_SHOWN_LINES).decode(errors="replace")
                raise ServerFailed(f"{self.names[node]} is {container.status}\n{output}")
            time.sleep(_POLL_SECONDS)
        self._version = version

    def kill(self, node: int) -> None:
        self._started[node].kill()
        self._started[node].wait()

    def stop(self, node: int) -> None:
        self._started[node].stop(timeout=_STOP_SECONDS)

    def running(self) -> list[int]:
        for container in self._started.values():
            container.reload()
        return [node for node, each in sorted(self._started.items()) if each.status == "running"]

    def run(self, node: int, tool: Tool, *arguments: str) -> str:
        code, output = self._started[node].exec_run([str(tool), *arguments])
        text = str(output.decode(errors="replace"))
        if code != 0:
            raise ServerFailed(f"{tool} {arguments[0]} failed:\n{text}")
        return text

    def ask(self, node: int, text: str) -> str:
        return printed(self.ctl(node, "eval", printing(text)))

    def link(self, node: int) -> Link | None:
        container = self._started[node]
        container.reload()
        pid = int(container.attrs["State"]["Pid"])
        return Link(pid, _INTERFACE, self._address(node)) if can_block() else None

    def _address(self, node: int) -> str:
        return str(address_of(self._subnet, node))

    def _container(self, number: int, network: str) -> "DockerContainer":
        from docker.types import EndpointConfig
        from testcontainers.core.container import DockerContainer

        cookie = f"-setcookie {self._cookie}"
        container = DockerContainer(RABBIT_IMAGE).with_envs(
            RABBITMQ_DEFAULT_USER=USER,
            RABBITMQ_DEFAULT_PASS=self._password,
            RABBITMQ_NODENAME=self.names[number],
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=cookie,
            RABBITMQ_CTL_ERL_ARGS=cookie,
        )
        container.with_copy_into_container(formed_by(self.names).encode(), _CONFIGURATION)
        endpoint = EndpointConfig("1.44", ipv4_address=self._address(number))
        return container.with_kwargs(
            hostname=f"node{number}",
            # Not the engine's name service: it forgets a node that is down, and slows the others.
            extra_hosts={f"node{other}": self._address(other) for other in range(SIZE)},
            network=network,
            networking_config={network: endpoint},
        )


@contextmanager
def _network(subnet: IPv4Network) -> Iterator[str]:
    from docker.types import IPAMConfig, IPAMPool
    from testcontainers.core.network import Network

    pool = IPAMPool(subnet=str(subnet), gateway=str(address_of_host(subnet)))
    with Network(docker_network_kw={"ipam": IPAMConfig(pool_configs=[pool])}) as network:
        yield network.name


@contextmanager
def container_cluster(say: Say = lambda _: None) -> Iterator[ContainerCluster]:
    """Run a cluster for the length of the block.

    Raises EngineUnreachable, ImagesUnavailable, or ServerFailed if a container does not start.
    """
    have_images(say, RABBIT_IMAGE)
    with ExitStack() as stack:
        cluster = ContainerCluster(stack)
        cluster.start_all()
        yield cluster
