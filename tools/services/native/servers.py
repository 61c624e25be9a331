"""The rung of private native servers: both in one sandbox, started side by side."""

from collections.abc import Iterator
from contextlib import contextmanager

from tools.services.model import Services
from tools.services.native.binaries import find_postgres, find_rabbit
from tools.services.native.postgres import PrivatePostgres
from tools.services.native.rabbitmq import PrivateRabbit
from tools.services.sandbox import Sandbox


def missing_packages() -> list[str]:
    """Return the Debian names of the servers that this machine lacks."""
    wanted = {"postgresql": find_postgres(), "rabbitmq-server": find_rabbit()}
    return [package for package, programs in wanted.items() if programs is None]


@contextmanager
def private_servers() -> Iterator[Services]:
    """Run both servers for the length of the block.

    Raises ServicesUnavailable if a program is missing and ServerFailed if a start fails.
    """
    with Sandbox() as sandbox:
        rabbit, postgres = PrivateRabbit(sandbox), PrivatePostgres(sandbox)
        # The broker takes longest: it boots while initdb runs.
        rabbit.launch()
        postgres.start()
        rabbit.wait_ready()
        yield Services(
            database_url=postgres.url,
            amqp_url=rabbit.url,
            origin="private native servers "
            f"(PostgreSQL {postgres.version}, RabbitMQ {rabbit.version})",
        )
