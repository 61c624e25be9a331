"""From a recorded process to the tree that can be stopped."""

import os
from pathlib import Path

from shared.runs import RunProcess
from shared.states import Containment
from worker.stop.cgroup import Cgroup
from worker.stop.cgroup_tree import CgroupTree
from worker.stop.identity import Identity
from worker.stop.scan import Kinship
from worker.stop.session_tree import SessionTree
from worker.stop.tree import Tree


def tree_of(process: RunProcess) -> Tree:
    """The tree of a run of this host and this boot. Close it when done."""
    if process.containment is Containment.CGROUP and process.cgroup is not None:
        return CgroupTree(
            Cgroup(Path(process.cgroup)),
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
