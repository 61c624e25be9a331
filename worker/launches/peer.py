"""Identifies the launcher at the other end of the worker's socket, and its child."""

import os
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from worker.processes.cgroup import path_of
from worker.processes.identity import Identity, read_stat, read_uid
from worker.processes.peer import NotAllowed, caller_of


@dataclass(frozen=True, slots=True)
class Launcher:
    """The calling process, as identified by the kernel."""

    identity: Identity
    uid: int


def launcher_of(request: web.Request, runs_root: Path | None) -> Launcher:
    """The calling process. Raises NotAllowed for one that is itself inside a run."""
    assert request.transport is not None  # noqa: S101 - the request is being answered
    stat, uid = caller_of(request.transport.get_extra_info("socket"))
    inside = path_of(stat.thread)
    if runs_root is not None and inside is not None and runs_root in inside.parents:
        # A job is untrusted: it may not take another run's place.
        raise NotAllowed("a process of a run may not start another run")
    return Launcher(stat.identity, uid)


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
