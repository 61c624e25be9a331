"""A Postgres server in a container."""

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

from tools.services.containers.engine import POSTGRES_IMAGE, USER, Say, have_images, run_in, start

DATABASE: Final = "postgres"
MAX_CONNECTIONS: Final = 400
_PORT: Final = 5432


class ContainerPostgres:
    def __init__(
        self,
        stack: ExitStack,
        *,
        settings: Mapping[str, str] | None = None,
        volumes: Mapping[str, str] | None = None,
        say: Say = lambda _: None,
    ) -> None:
        """Prepare a container that `stack` removes.

        `settings` are those of the server; `volumes` are directories here and where the container
        has them. Raises EngineUnreachable and ImagesUnavailable.
        """
        have_images(say, POSTGRES_IMAGE)
        from testcontainers.community.postgres import PostgresContainer

        self._container = PostgresContainer(
            POSTGRES_IMAGE,
            username=USER,
            password=secrets.token_urlsafe(18),
            dbname=DATABASE,
            driver=None,
        )
        given = {"max_connections": str(MAX_CONNECTIONS), **(settings or {})}
        self._container.with_command(" ".join(f"-c {name}={it}" for name, it in given.items()))
        for here, there in (volumes or {}).items():
            self._container.with_volume_mapping(here, there, "rw")
        stack.callback(self._container.stop)

    @property
    def port(self) -> int:
        return self._container.get_exposed_port(_PORT)

    @property
    def url(self) -> str:
        """The URL of the server's own database, with user and password."""
        return self._container.get_connection_url(driver=None)

    @property
    def version(self) -> str:
        """The version, such as 17.5."""
        return self.run("postgres", "--version").split()[2]

    def start(self) -> None:
        """Start the server and return once it accepts connections. Raises ServerFailed."""
        start(self._container)

    def run(self, *command: str) -> str:
        """Run a command in the container, as root; what it printed. Raises ServerFailed."""
        return run_in(self._container, *command)
