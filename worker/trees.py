"""From a recorded process to the tree that can be stopped, and to its end."""

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from shared.errors import ServiceUnavailable
from shared.runs import RunProcess
from worker.stop import ladder
from worker.stop.cgroup import Cgroup
from worker.stop.cgroup_tree import CgroupTree
from worker.stop.evidence import Evidence, host_rebooted
from worker.stop.identity import Identity, ProcessHandle, boot_id
from worker.stop.ladder import StopPlan
from worker.stop.scan import Kinship
from worker.stop.session_tree import SessionTree
from worker.stop.tree import Tree


def tree_of(process: RunProcess) -> Tree:
    """The tree of a run of this host and this boot. Close it when done."""
    cgroup = None if process.cgroup is None else Cgroup(Path(process.cgroup))
    if cgroup is not None and _is_seen(cgroup, process):
        return CgroupTree(
            cgroup,
            process.launch_id,
            # Root may leave any cgroup, and our own user the ones that we own.
            may_escape=process.uid in (0, os.geteuid()),
        )
    return SessionTree(
        Kinship(
            leader=Identity(process.pid, process.start_ticks),
            launcher=Identity(process.launcher_pid, process.launcher_start_ticks),
            launch_id=process.launch_id,
        )
    )


async def stop_tree(process: RunProcess, plan: StopPlan, escalate: asyncio.Event) -> Evidence:
    """Stop what is left of a run of this host.

    Raises StopFailed, and ServiceUnavailable where this host lacks descriptors or memory.
    """
    if process.boot_id != boot_id():
        return host_rebooted()
    with shortage_is_an_outage(), closing(tree_of(process)) as tree:
        return await ladder.stop(tree, plan, escalate)


@contextmanager
def shortage_is_an_outage() -> Iterator[None]:
    """Raise ServiceUnavailable where this host lacks descriptors, memory or threads."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise ServiceUnavailable(f"this host: {error.strerror}") from error
        raise
    except RuntimeError as error:
        if "new thread" in str(error):  # Python has no class of its own for it
            raise ServiceUnavailable(f"this host: {error}") from error
        raise


def _is_seen(cgroup: Cgroup, process: RunProcess) -> bool:
    """Whether what we see of `cgroup` is the truth about it.

    One that is gone was empty, but one that is mounted elsewhere now, or hidden by a namespace,
    looks the same: there the directory above it is missing too, or the leader lives.
    """
    if cgroup.exists():
        return True
    leader = ProcessHandle.open(Identity(process.pid, process.start_ticks))
    if leader is not None:
        leader.close()
    return leader is None and cgroup.path.parent.is_dir()
