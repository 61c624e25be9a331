"""The rung of containers: both services by testcontainers on a reachable Docker engine."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tools.services.containers.engine import POSTGRES_IMAGE, RABBIT_IMAGE, Say
from tools.services.containers.postgres import ContainerPostgres
from tools.services.containers.rabbitmq import ContainerRabbit
from tools.services.model import Services


@contextmanager
def running_containers(say: Say) -> Iterator[Services]:
    """Run both containers for the length of the block.

    Raises EngineUnreachable, ImagesUnavailable, or ServerFailed if a container does not start.
    """
    with ExitStack() as stack:
        rabbit, postgres = ContainerRabbit(stack, say=say), ContainerPostgres(stack, say=say)
        # The broker takes longest: it boots while Postgres is waited for.
        rabbit.launch()
        postgres.start()
        rabbit.wait_ready()
        yield Services(
            database_url=postgres.url,
            amqp_url=rabbit.url,
            origin=f"containers ({POSTGRES_IMAGE}, {RABBIT_IMAGE})",
        )
