"""Identifies the process at the other end of the worker's socket."""

import errno
import os
import select
import socket
import struct
from pathlib import Path
from typing import Final, NamedTuple

from aiohttp import web

from shared.errors import RunCancelError
from worker.launches.claims import Launcher
from worker.processes.cgroup import path_of
from worker.processes.identity import Identity, ProcessStat, read_stat, read_uid

_UCRED: Final = struct.Struct("3i")
_INT: Final = struct.Struct("i")
_SO_PEERPIDFD: Final = 77  # asm-generic/socket.h


class NotAllowed(RunCancelError):
    """The caller is not allowed to do this; the message says why."""


class Credentials(NamedTuple):
    pid: int
    uid: int


def credentials_of(connection: socket.socket) -> Credentials:
    """The credentials of the process that connected, as of the connect (unix(7), SO_PEERCRED)."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(found)
    return Credentials(pid, uid)


def caller_of(connection: socket.socket) -> tuple[ProcessStat, int]:
    """The process that connected, and its user. Raises NotAllowed if that cannot be told."""
    pid, uid = credentials_of(connection)
    stat = read_stat(pid)
    # In this order: the process that connected must still be alive after we looked up its pid. A
    # connection can be inherited, and used after the pid was reused.
    if stat is None or _has_ended(connection) or read_uid(pid) != uid:
        raise NotAllowed("the caller is gone or in another pid namespace")
    return stat, uid


def launcher_of(request: web.Request, runs_root: Path | None) -> Launcher:
    """The calling process. Raises NotAllowed for one that is itself inside a run."""
    assert request.transport is not None  # noqa: S101 - the request is being answered
    stat, uid = caller_of(request.transport.get_extra_info("socket"))
    inside = path_of(stat.thread)
    if runs_root is not None and inside is not None and runs_root in inside.parents:
        # A job is untrusted: it may not take another run's place.
        raise NotAllowed("a process of a run may not start another run")
    return Launcher(stat.identity, uid)


def _has_ended(connection: socket.socket) -> bool:
    """Whether the process that connected has ended, as far as the kernel can tell."""
    try:
        pidfd = _INT.unpack(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, _INT.size))[0]
    except OSError as error:
        # Unknown before Linux 6.5; later kernels fail like this for a process that is gone.
        return error.errno != errno.ENOPROTOOPT
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(0))
    finally:
        os.close(pidfd)


def child_of(launcher: Launcher, pid: int) -> Identity:
    """The launcher's child `pid`.

    Raises NotAllowed if it is not its child, not its user's, or we cannot signal it.
    """
    stat = read_stat(pid)
    if stat is None or stat.parent != launcher.identity.pid:
        raise NotAllowed(f"process {pid} is not a child of the caller")
    if stat.thread != pid:
        # No cgroup lists such a process, and `cgroup.kill` passes over it.
        raise NotAllowed(f"the first thread of process {pid} has ended")
    if read_uid(pid) != launcher.uid:
        raise NotAllowed(f"process {pid} does not belong to the caller's user")
    _require_power_over(pid, launcher.uid)
    return stat.identity


def _require_power_over(pid: int, uid: int) -> None:
    """Raise NotAllowed if we may not signal the process: its run could not be canceled."""
    try:
        os.kill(pid, 0)  # sends no signal, but checks the permission
    except ProcessLookupError:
        raise NotAllowed(f"process {pid} is gone") from None
    except PermissionError:
        raise NotAllowed(
            f"this worker runs as user {os.geteuid()} and cannot signal processes of user {uid}: "
            f"run the worker as root or the job as user {os.geteuid()}"
        ) from None
