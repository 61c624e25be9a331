"""The rung of containers: both services by testcontainers on a reachable Docker engine.

testcontainers is imported late: it takes a while and reads the environment.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tools.services.amqp_probe import server_version
from tools.services.model import ServerFailed, Services, ServicesUnavailable

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.core.container import DockerContainer

POSTGRES_IMAGE = "postgres:17"
RABBIT_IMAGE = "rabbitmq:4-management"
USER = "run_cancel"
DATABASE = "postgres"
MAX_CONNECTIONS = 400
AMQP_PORT = 5672
ANSWER_SECONDS = 2
PULL_SILENCE_SECONDS = 60
START_SECONDS = 90.0
POLL_SECONDS = 0.1
SHOWN_LOG_LINES = 8

Say = Callable[[str], None]


class EngineUnreachable(ServicesUnavailable):
    """No Docker engine answers."""


class ImagesUnavailable(ServicesUnavailable):
    """An engine answers, but an image is neither there nor to be had."""


@contextmanager
def running_containers(say: Say) -> Iterator[Services]:
    """Run both containers for the length of the block.

    Raises EngineUnreachable, ImagesUnavailable, or ServerFailed if a container does not start.
    """
    check_engine()
    have_images(say, POSTGRES_IMAGE, RABBIT_IMAGE)
    with ExitStack() as stack:
        services = _start_both(stack)
        yield services


def check_engine() -> None:
    """Raise EngineUnreachable unless an engine answers within 2 s."""
    try:
        client = _client(ANSWER_SECONDS)
        client.ping()
        client.close()
    # ImportError, DockerException, requests' errors: each means that there is none to be used.
    except Exception as error:
        raise EngineUnreachable(f"no Docker engine is reachable ({_line(error)})") from error


def have_images(say: Say, *names: str) -> None:
    """Pull what is not there yet of the images. Raises ImagesUnavailable."""
    client = _client(PULL_SILENCE_SECONDS)
    try:
        present = {tag for image in client.images.list() for tag in image.tags}
        for image in _with_reaper(names):
            if image not in present:
                say(f"pulling {image}; about a minute")
                _pull(client, image)
    finally:
        client.close()


def _with_reaper(names: Sequence[str]) -> list[str]:
    """The images and, unless it is switched off, the reaper that testcontainers starts."""
    from testcontainers.core.config import testcontainers_config as config

    images = [config.hub_image_name_prefix + name for name in names]
    return images if config.ryuk_disabled else [*images, config.ryuk_image]


def _pull(client: Any, image: str) -> None:
    try:
        client.images.pull(image)
    # Whatever the engine or the connection to it reports, the image is not to be had.
    except Exception as error:
        raise ImagesUnavailable(
            f"Docker is running but cannot pull {image} ({_line(error)})"
        ) from error


def _client(timeout: int) -> Any:
    """Return a Docker client for the engine that testcontainers would use; timeout in seconds."""
    from testcontainers.core.docker_client import DockerClient

    return DockerClient(timeout=timeout).client


def _start_both(stack: ExitStack) -> Services:
    password = secrets.token_urlsafe(18)
    rabbit, postgres = _rabbit(password), _postgres(password)
    try:
        # The broker takes longest: it boots while Postgres is waited for.
        stack.enter_context(rabbit)
        stack.enter_context(postgres)
    # testcontainers passes on the errors of several libraries.
    except Exception as error:
        raise ServerFailed(f"a container did not start: {_line(error)}") from error
    host, port = rabbit.get_container_host_ip(), rabbit.get_exposed_port(AMQP_PORT)
    _wait_for_rabbit(rabbit, host, port)
    return Services(
        database_url=postgres.get_connection_url(driver=None),
        amqp_url=f"amqp://{USER}:{password}@{host}:{port}/",
        origin=f"containers ({POSTGRES_IMAGE}, {RABBIT_IMAGE})",
    )


def _postgres(password: str) -> "PostgresContainer":
    from testcontainers.community.postgres import PostgresContainer

    container = PostgresContainer(
        POSTGRES_IMAGE, username=USER, password=password, dbname=DATABASE, driver=None
    )
    return container.with_command(f"-c max_connections={MAX_CONNECTIONS}")


def _rabbit(password: str) -> "DockerContainer":
    """Use the plain container: testcontainers' own for RabbitMQ needs one more AMQP client."""
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(RABBIT_IMAGE).with_exposed_ports(AMQP_PORT)
    return container.with_envs(RABBITMQ_DEFAULT_USER=USER, RABBITMQ_DEFAULT_PASS=password)


def _wait_for_rabbit(rabbit: "DockerContainer", host: str, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server_version(host, port) is None:
        rabbit.reload()
        if rabbit.status != "running" or time.monotonic() > deadline:
            output = b"".join(rabbit.get_logs()).decode(errors="replace").strip()
            tail = "\n    ".join(output.splitlines()[-SHOWN_LOG_LINES:])
            raise ServerFailed(f"{RABBIT_IMAGE} is {rabbit.status}, not ready\n    {tail}")
        time.sleep(POLL_SECONDS)


def _line(error: Exception) -> str:
    """Return the first line of an error that may have many; of the engine's own, its reason."""
    text = str(getattr(error, "explanation", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
