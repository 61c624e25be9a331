"""The worker's Unix socket, with its limits on connections."""

import asyncio
import errno
import os
import socket
from collections.abc import Hashable
from pathlib import Path
from typing import Final

from aiohttp import web

from shared.http.connection_slots import ConnectionLimiter, ConnectionSlots
from shared.http.limits import TimeLimits
from shared.http.server import HttpServer, serve
from shared.lifecycle import most_files
from worker.connection import WorkerConnection
from worker.processes.peer import credentials_of

# Seconds. A launcher sends its only request at once, and reads the response at once.
_LIMITS: Final = TimeLimits(head=10.0, response=10.0, idle=10.0)
_SHUTDOWN: Final = 2.0
# Extra slots, so that refused launchers are told to retry.
_EXTRA_SLOTS: Final = 100
# Connections in the kernel's queue cost us nothing, and are served in turn.
_BACKLOG: Final = 1024


def bind(path: Path, mode: int) -> socket.socket:
    """Make the Unix socket. Raises OSError, also if another process is listening at `path`."""
    # Below /tmp, the directory prevents other users from creating a socket there.
    private = 0o755 if os.geteuid() == 0 else 0o700
    path.parent.mkdir(mode=private, parents=True, exist_ok=True)
    if path.parent.stat().st_uid not in (0, os.geteuid()):
        raise OSError(errno.EPERM, f"{path.parent} belongs to another user")
    _refuse_second(path)
    if path.is_socket():
        path.unlink()
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        os.chmod(path, mode)  # noqa: PTH101 - as the setting says, whatever the umask
    except OSError:
        bound.close()
        raise
    return bound


async def listen(
    app: web.Application, bound: socket.socket, most: int, most_of_one: int
) -> HttpServer:
    """Serve `app`. Before this, connections are refused, and launchers retry.

    The limits are `most` connections, and `most_of_one` per user, but at most a quarter of our open
    files, so that the rest is left for stops.
    """
    most = min(most, most_files() // 4)
    slots = (
        ConnectionSlots(most, min(most_of_one, max(most // 2, 1))),
        ConnectionSlots(_EXTRA_SLOTS),
    )
    loop = asyncio.get_running_loop()
    return await serve(
        app,
        WorkerConnection,
        _LIMITS,
        ConnectionLimiter("worker socket", slots, _user_of),
        lambda protocol: loop.create_unix_server(protocol, sock=bound, backlog=_BACKLOG),
        _SHUTDOWN,
    )


def _user_of(transport: asyncio.BaseTransport) -> Hashable:
    return credentials_of(transport.get_extra_info("socket")).uid


def _refuse_second(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return
    raise OSError(errno.EADDRINUSE, "another worker serves there")
