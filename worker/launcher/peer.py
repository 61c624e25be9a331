"""Who is on the other end of the worker's socket."""

import socket
import struct
from pathlib import Path

from aiohttp import web

from worker.launches import Launcher
from worker.stop.cgroup import path_of
from worker.stop.identity import Identity, read_stat, read_uid


class NotAllowed(Exception):
    """The caller may not ask for this; the message says why."""


def launcher_of(request: web.Request, runs_root: Path | None) -> Launcher:
    """The calling process. Raises NotAllowed for one that is itself inside a run."""
    assert request.transport is not None  # noqa: S101 - the request is being answered
    connection = request.transport.get_extra_info("socket")
    size = struct.calcsize("3i")
    # struct ucred, as of when the peer connected (unix(7), SO_PEERCRED).
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, _ = struct.unpack("3i", credentials)
    stat = read_stat(pid)
    if stat is None:
        raise NotAllowed("the caller is gone or in another pid namespace")
    inside = path_of(pid)
    if runs_root is not None and inside is not None and runs_root in inside.parents:
        # A job is untrusted: it may not take another run's place.
        raise NotAllowed("a run's own processes may not start runs")
    return Launcher(stat.identity, uid)


def child_of(launcher: Launcher, pid: int) -> Identity:
    """The launcher's child `pid`. Raises NotAllowed if it is not its child, or not its user's."""
    stat = read_stat(pid)
    if stat is None or stat.parent != launcher.identity.pid:
        raise NotAllowed(f"process {pid} is not a child of the caller")
    if read_uid(pid) != launcher.uid:
        raise NotAllowed(f"process {pid} belongs to another user than the caller")
    return stat.identity
