"""Whether the engine is on this side of the walls of a container."""

import asyncio
import socket
from pathlib import Path
from typing import Final

from worker.docker.engine.client import EngineUnavailable
from worker.processes.peer import credentials_of

_CONNECT: Final = 10.0
"""Timeout, seconds."""


async def names_cgroups_as_we(engine: Path) -> bool:
    """Whether the engine at this socket is known to be in our cgroup namespace.

    Raises EngineUnavailable.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(_CONNECT):
                await asyncio.get_running_loop().sock_connect(connection, str(engine))
        except OSError as error:  # TimeoutError too
            why = f"the Docker engine at {engine} is unavailable: {error}"
            raise EngineUnavailable(why) from None
        pid, _ = credentials_of(connection)
    return _cgroup_namespace(pid) == _cgroup_namespace("self")


def _cgroup_namespace(pid: int | str) -> str | None:
    """None if it cannot be told. A process in another pid namespace has the pid 0 here."""
    try:
        return str(Path(f"/proc/{pid}/ns/cgroup").readlink())
    except OSError:
        return None
