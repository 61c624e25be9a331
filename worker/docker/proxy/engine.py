"""The connection to the engine that belongs to one client's connection."""

import asyncio
import socket
from pathlib import Path

import h11
import structlog

from worker.docker.proxy.wire import Wire
from worker.docker.rules.refused import Refused

log = structlog.get_logger(__name__)


class EngineLine:
    """Opened for the first request, and again if the engine has closed it between two."""

    def __init__(self, path: Path, head_size: int) -> None:
        self._path = path
        self._head_size = head_size
        self._wire: Wire | None = None

    @property
    def wire(self) -> Wire:
        assert self._wire is not None  # noqa: S101 - it is opened first
        return self._wire

    async def open(self) -> None:
        """Raises Refused if the engine cannot be reached."""
        if self._wire is not None and self._wire.has_input():
            self.close()  # the engine has closed it, or says what nobody asked for
        if self._wire is not None:
            return
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, str(self._path))
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError):
                raise
            log.warning("docker_engine_unreachable", error=error.strerror)
            raise Refused(503, "the Docker engine does not answer") from None
        self._wire = Wire(connection, h11.CLIENT, self._head_size)

    def finish(self) -> None:
        """A response is complete: keep the connection for the next request, if that can be."""
        http = self.wire.http
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        else:
            self.close()

    def cut(self) -> None:
        if self._wire is not None:
            self._wire.cut()

    def close(self) -> None:
        if self._wire is not None:
            self._wire.socket.close()
            self._wire = None
