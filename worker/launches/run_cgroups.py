"""The cgroups of this host's runs. A child enters its cgroup before it may run."""

from pathlib import Path

import structlog

from shared.errors import RunCancelError
from worker.processes.cgroup import Cgroup, path_of
from worker.processes.cgroup_names import name_for
from worker.processes.identity import Identity, read_stat
from worker.processes.watch import EndWatch

log = structlog.get_logger(__name__)

# Seconds.
_DISCARD_WAIT = 1.0


class ContainmentFailed(RunCancelError):
    """The child cannot enter its cgroup; the message says why."""


class InsideRun(RunCancelError):
    """The launcher or its child belongs to another run; the message says which."""


class RunCgroups:
    """`root` is the parent of the runs' cgroups; None for no cgroups.

    If `required`, a process that cannot enter its cgroup is not started.
    """

    def __init__(self, root: Path | None, *, required: bool) -> None:
        self._root = root
        self._required = required

    def contain(self, run_id: int, child: Identity) -> Cgroup | None:
        """Put `child` into a new cgroup for the run; None if it continues without one.

        Raises InsideRun and ContainmentFailed.
        """
        if self._root is None:
            return None
        # The name includes the child: another installation's database may have the same run id.
        cgroup = Cgroup(self._root / name_for(run_id, child))
        before = path_of(child.pid)
        if before is not None and self._root in before.parents and before != cgroup.path:
            # It would leave the cgroup that must contain it.
            raise InsideRun(f"process {child.pid} is already in the cgroup {before.name}")
        try:
            cgroup.create()
            cgroup.add(child.pid)
            _require_same(child, before)
        except OSError as error:
            cgroup.remove()
            if self._required:
                raise ContainmentFailed(
                    f"cannot use the cgroup {cgroup.path}: {error.strerror}"
                ) from None
            log.warning("run_without_cgroup", run_id=run_id, error=str(error))
            return None
        return cgroup


async def discard(cgroup: Cgroup | None) -> None:
    """Kill a refused child. It is waiting at its barrier and has not run the command."""
    if cgroup is None:
        return
    watch = EndWatch()
    watch.add_cgroup(cgroup)
    cgroup.kill()
    if cgroup.is_populated():
        await watch.wait(_DISCARD_WAIT)
    watch.close()
    cgroup.remove()


def _require_same(child: Identity, before: Path | None) -> None:
    """Raise ContainmentFailed if the child died, and another process with its pid was moved."""
    stat = read_stat(child.pid)
    if stat is not None and stat.identity == child and stat.thread == child.pid:
        return
    if stat is not None and before is not None:
        Cgroup(before).add(child.pid)
    raise ContainmentFailed(f"process {child.pid} ended before it was in its cgroup")
