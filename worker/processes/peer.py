"""Identifies the process at the other end of a Unix socket, as the kernel knows it."""

import errno
import os
import select
import socket
import struct
from typing import Final, NamedTuple

from shared.errors import RunCancelError
from worker.processes.identity import ProcessStat, read_stat, read_uid

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
