"""A job that opens a connection to its Docker socket, and passes it on to a process outside."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.docker.proxied import Client
from tools.support.system import System

# The ping has the worker find out whose the connection is.
_PROGRAM: Final = """
import os, socket, sys
docker = socket.socket(socket.AF_UNIX)
docker.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))
docker.sendall(b"GET /_ping HTTP/1.1\\r\\nHost: docker\\r\\n\\r\\n")
while not docker.recv(1000).endswith(b"OK"):
    pass
outside = socket.socket(socket.AF_UNIX)
outside.connect(sys.argv[1])
socket.send_fds(outside, [b"x"], [docker.fileno()])
docker.close()
outside.recv(1)
"""


@dataclass(frozen=True, slots=True)
class PassedOn:
    client: Client
    job: socket.socket

    def end_job(self) -> None:
        """Let the job's command end by itself."""
        self.job.close()


@asynccontextmanager
async def passed_on(system: System, directory: Path) -> AsyncIterator[PassedOn]:
    """Launch such a job as run 1; the connection is here, and outlives the run's processes."""
    path = directory / "passed.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o666)
        listening.listen()
        listening.setblocking(False)
        await system.add_run(1)
        await system.launch(1, sys.executable, "-c", _PROGRAM, str(path))
        job, _ = await asyncio.get_running_loop().sock_accept(listening)
    with job:
        job.setblocking(True)
        _, descriptors, _, _ = await asyncio.to_thread(socket.recv_fds, job, 1, 1)
        connection = socket.socket(fileno=descriptors[0])
        client = Client(*await asyncio.open_unix_connection(sock=connection))
        try:
            yield PassedOn(client, job)
        finally:
            with suppress(ConnectionError):  # it is cut with its run
                await client.close()
