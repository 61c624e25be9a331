"""The Docker engine that is reachable, and what its containers need.

testcontainers is imported late: it takes a while and reads the environment.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tools.services.model import ServerFailed, ServicesUnavailable

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

POSTGRES_IMAGE = "postgres:17"
RABBIT_IMAGE = "rabbitmq:4-management"
USER = "run_cancel"
ANSWER_SECONDS = 2
PULL_SILENCE_SECONDS = 60
START_SECONDS = 90.0
POLL_SECONDS = 0.1
SHOWN_LOG_LINES = 8

Say = Callable[[str], None]
T = TypeVar("T")


class EngineUnreachable(ServicesUnavailable):
    """No Docker engine answers."""


class ImagesUnavailable(ServicesUnavailable):
    """An engine answers, but an image is neither there nor to be had."""


def _check_engine() -> None:
    """Raise EngineUnreachable unless an engine answers within 2 s."""
    try:
        client = _client(ANSWER_SECONDS)
        client.ping()
        client.close()
    # ImportError, DockerException, requests' errors: each means that there is none to be used.
    except Exception as error:
        raise EngineUnreachable(f"no Docker engine is reachable ({_line(error)})") from error


def have_images(say: Say, *names: str) -> None:
    """Pull what is not there yet of the images. Raises EngineUnreachable and ImagesUnavailable."""
    _check_engine()
    client = _client(PULL_SILENCE_SECONDS)
    try:
        present = {tag for image in client.images.list() for tag in image.tags}
        for image in _with_reaper(names):
            if image not in present:
                say(f"pulling {image}; about a minute")
                _pull(client, image)
    finally:
        client.close()


def start(container: "DockerContainer") -> None:
    """Raises ServerFailed."""
    try:
        container.start()
    # testcontainers passes on the errors of several libraries.
    except Exception as error:
        raise ServerFailed(f"a container did not start: {_line(error)}") from error


def wait_until(container: "DockerContainer", ask: Callable[[], T | None]) -> T:
    """Return the answer of what a container runs. Raises ServerFailed, with the end of its log."""
    deadline = time.monotonic() + START_SECONDS
    while (answer := ask()) is None:
        container.reload()
        if container.status != "running" or time.monotonic() > deadline:
            output = b"".join(container.get_logs()).decode(errors="replace").strip()
            tail = "\n    ".join(output.splitlines()[-SHOWN_LOG_LINES:])
            raise ServerFailed(f"{container.image} is {container.status}, not ready\n    {tail}")
        time.sleep(POLL_SECONDS)
    return answer


def run_in(container: "DockerContainer", *command: str) -> str:
    """Run a command in a container, as root; what it printed. Raises ServerFailed."""
    code, output = container.get_wrapped_container().exec_run(list(command), user="root")
    text = str(output.decode(errors="replace"))
    if code != 0:
        raise ServerFailed(f"{' '.join(command[:2])} failed:\n{text}")
    return text


def _line(error: Exception) -> str:
    """Return the first line of an error that may have many; of the engine's own, its reason."""
    text = str(getattr(error, "explanation", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


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
