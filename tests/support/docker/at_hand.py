"""The engine that this machine has."""

import os
import shutil
import subprocess
from typing import Final

from tests.support.docker.direct import DEFAULT

DOCKER_HOST: Final = os.environ.get("DOCKER_HOST", DEFAULT)
_DEADLINE: Final = 10.0


def why_no_engine(image: str | None = None) -> str | None:
    """Why none can be used here, or none that has `image`; None if there is one."""
    docker = shutil.which("docker")
    if docker is None:
        return "no Docker client is installed"
    asks = ["version"] if image is None else ["image", "inspect", image]
    command = [docker, "--host", DOCKER_HOST, *asks]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_DEADLINE)
    except subprocess.TimeoutExpired:
        return f"the Docker engine at {DOCKER_HOST} does not answer"
    if done.returncode == 0:
        return None
    return f"no Docker engine at {DOCKER_HOST}" + (f" that has {image}" if image else "")
