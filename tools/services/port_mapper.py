"""Erlang's port mapper, by which the nodes of one sandbox find one another."""

import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tools.services.model import ServerFailed
from tools.services.native.place import Place
from tools.services.sandbox import Sandbox, clean_environment, log_tail

START_SECONDS = 10.0
POLL_SECONDS = 0.05


class PortMapper:
    """An epmd of our own: a broker would leave one behind as a daemon."""

    def __init__(
        self,
        sandbox: Sandbox,
        program: Path,
        *,
        place: Place | None = None,
        port: int | None = None,
    ) -> None:
        """`port`: that of the other places' ones, as nodes look for each other's there."""
        self._sandbox = sandbox
        self._program = program
        self._place = place or Place()
        self._log = sandbox.path / "epmd.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port or sandbox.reserve_port()

    def start(self) -> None:
        """Start it unless it runs, and return once it answers. Raises ServerFailed."""
        if self._process is not None and self._process.poll() is None:
            return
        self._process = self._sandbox.spawn(
            self._place.command(
                *(str(self._program), "-address", self._place.address, "-port", str(self.port))
            ),
            log=self._log,
            env=clean_environment(),
        )
        deadline = time.monotonic() + START_SECONDS
        while not _accepts(self._place.address, self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(f"private RabbitMQ: epmd did not start\n{log_tail(self._log)}")
            time.sleep(POLL_SECONDS)


def _accepts(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=1.0):
        return True
    return False
