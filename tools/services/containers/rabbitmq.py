"""A RabbitMQ node in a container; what tests do with it is the same as with a PrivateRabbit."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from tools.services.amqp_probe import server_version
from tools.services.containers.engine import (
    RABBIT_IMAGE,
    USER,
    Say,
    have_images,
    run_in,
    start,
    wait_until,
)

AMQP_PORT: Final = 5672
CONFIGURATION: Final = "/etc/rabbitmq/conf.d/20-tests.conf"


class ContainerRabbit:
    def __init__(
        self,
        stack: ExitStack,
        *,
        ports: Sequence[int] = (),
        configuration: str = "",
        volumes: Mapping[str, str] | None = None,
        say: Say = lambda _: None,
    ) -> None:
        """Prepare a container that `stack` removes.

        `ports` are published beside that of AMQP; `configuration` is added to the image's own;
        `volumes` are directories here and where the container has them. Raises EngineUnreachable
        and ImagesUnavailable.
        """
        have_images(say, RABBIT_IMAGE)
        # Not testcontainers' own class for RabbitMQ: it needs one more AMQP client.
        from testcontainers.core.container import DockerContainer

        self._password = secrets.token_urlsafe(18)
        self._version = "unknown"
        self._container = DockerContainer(RABBIT_IMAGE).with_exposed_ports(AMQP_PORT, *ports)
        self._container.with_envs(RABBITMQ_DEFAULT_USER=USER, RABBITMQ_DEFAULT_PASS=self._password)
        if configuration:
            self._container.with_copy_into_container(configuration.encode(), CONFIGURATION)
        for here, there in (volumes or {}).items():
            self._container.with_volume_mapping(here, there, "rw")
        stack.callback(self._container.stop)

    @property
    def host(self) -> str:
        return self._container.get_container_host_ip()

    @property
    def port(self) -> int:
        """Of AMQP, at `host`."""
        return self.port_of(AMQP_PORT)

    @property
    def url(self) -> str:
        """The URL of the default virtual host, with user and password."""
        return f"amqp://{USER}:{self._password}@{self.host}:{self.port}/"

    @property
    def version(self) -> str:
        """As the broker tells it; known once it is ready."""
        return self._version

    def port_of(self, port: int) -> int:
        """Where a port of the container is published, at `host`."""
        return self._container.get_exposed_port(port)

    def launch(self) -> None:
        """Start it without waiting for it. Raises ServerFailed."""
        start(self._container)

    def wait_ready(self) -> None:
        """Return once it accepts connections. Raises ServerFailed."""
        host, port = self.host, self.port
        self._version = wait_until(self._container, lambda: server_version(host, port))

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on this node and return what it printed. Raises ServerFailed."""
        return self.run("rabbitmqctl", *arguments)

    def run(self, tool: str, *arguments: str) -> str:
        """Run one of RabbitMQ's tools on this node, as `ctl` does."""
        return run_in(self._container, tool, *arguments)
