"""Makes a tree from a recorded process, and stops it."""

import asyncio
import errno
import os
from collections.abc import Container, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from shared.errors import RunCancelError, ServiceUnavailable
from shared.runs import RunProcess
from shared.states import Containment
from worker.evidence import Evidence, host_rebooted
from worker.processes.cgroup import Cgroup
from worker.processes.identity import (
    Identity,
    ProcessHandle,
    boot_id,
    is_machines_own,
    pid_namespace,
)
from worker.processes.scan import Kinship
from worker.stop import ladder
from worker.stop.cgroup_tree import CgroupTree
from worker.stop.ladder import StopPlan
from worker.stop.session_tree import SessionTree
from worker.stop.tree import Tree


class OutOfSight(RunCancelError):
    """The run's processes are in another pid namespace: nothing can be proved from here."""


def tree_of(process: RunProcess, launchers: Container[Identity] = ()) -> Tree:
    """The tree of a run of this host and this boot. Close it when done.

    `launchers` are the launchers of this host, which are never in doubt. Raises OutOfSight.
    """
    kin = Kinship(
        leader=Identity(process.pid, process.start_ticks),
        launcher=Identity(process.launcher_pid, process.launcher_start_ticks),
        launch_id=process.launch_id,
        uid=process.uid,
        adopts=process.containment is Containment.SESSION,
        launchers=launchers,
    )
    if not pids_are_ours(process):
        if (cgroup := visible_cgroup(process)) is None:
            raise OutOfSight
        return CgroupTree(cgroup, None)
    cgroup = None if process.cgroup is None else Cgroup(Path(process.cgroup))
    if cgroup is not None and _is_seen(cgroup, process):
        return CgroupTree(cgroup, kin, may_escape=may_escape(process.uid))
    return SessionTree(kin)


def may_escape(uid: int) -> bool:
    """Whether a job of `uid` can leave its cgroup: root, or our own user, which owns it."""
    return uid in (0, os.geteuid())


def pids_are_ours(process: RunProcess) -> bool:
    """Whether its pids belong to our pid namespace."""
    if process.pid_namespace is None:
        # Recorded by a version that did not store it. A container is replaced for a new version.
        return is_machines_own(pid_namespace())
    return process.pid_namespace == pid_namespace()


def visible_cgroup(process: RunProcess) -> Cgroup | None:
    """The cgroup with all processes of a run of another pid namespace, if it is visible here."""
    if process.cgroup is None or process.cgroup_inode is None or may_escape(process.uid):
        return None
    cgroup = Cgroup(Path(process.cgroup))
    return cgroup if cgroup.inode() == process.cgroup_inode else None


async def stop_tree(
    process: RunProcess,
    plan: StopPlan,
    force: asyncio.Event,
    launchers: Container[Identity] = (),
) -> Evidence:
    """Stop the processes of a run of this host; `launchers` as in `tree_of`.

    Raises StopFailed, OutOfSight, and ServiceUnavailable if this host lacks descriptors or memory.
    """
    if process.boot_id != boot_id():
        return host_rebooted()
    with shortage_is_an_outage(), closing(tree_of(process, launchers)) as tree:
        return await ladder.stop(tree, plan, force)


@contextmanager
def shortage_is_an_outage() -> Iterator[None]:
    """Raise ServiceUnavailable if this host lacks descriptors, memory or threads."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise ServiceUnavailable(f"this host lacks resources: {error.strerror}") from error
        raise
    except RuntimeError as error:
        if "new thread" in str(error):  # Python has no class of its own for it
            raise ServiceUnavailable(f"this host lacks resources: {error}") from error
        raise


def _is_seen(cgroup: Cgroup, process: RunProcess) -> bool:
    """Whether `cgroup`, as seen here, is really that of the run.

    A removed cgroup was empty, but one that is now mounted elsewhere, or hidden by a namespace,
    looks the same: then its parent is missing too, or the leader is alive. And an existing cgroup
    of that name may be another one.
    """
    inode = cgroup.inode()
    if inode is not None:
        return process.cgroup_inode in (None, inode)
    leader = ProcessHandle.open(Identity(process.pid, process.start_ticks))
    if leader is not None:
        leader.close()
    return leader is None and cgroup.path.parent.is_dir()
