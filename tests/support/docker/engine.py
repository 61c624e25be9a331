"""The Docker engine of this machine, where there is one."""

import http.client
import os
import socket
from pathlib import Path
from typing import Final

import pytest

ENGINE: Final = Path("/var/run/docker.sock")
IMAGE: Final = "python:3.13-slim"


class UnixConnection(http.client.HTTPConnection):
    """An HTTP client of a Unix socket."""

    def __init__(self, path: Path, timeout: float = 30) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def why_no_engine() -> str | None:
    """Why tests cannot use an engine here, or None."""
    if not os.access(ENGINE, os.W_OK):
        return f"no Docker engine at {ENGINE}"
    connection = UnixConnection(ENGINE, timeout=5)
    try:
        connection.request("GET", f"/images/{IMAGE}/json")
        status = connection.getresponse().status
    except OSError:
        return f"the Docker engine at {ENGINE} does not answer"
    finally:
        connection.close()
    return None if status == 200 else f"the Docker engine has no image {IMAGE}"


_MISSING: Final = why_no_engine()

requires_engine = pytest.mark.skipif(_MISSING is not None, reason=str(_MISSING))
