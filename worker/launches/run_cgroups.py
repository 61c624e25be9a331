"""The cgroup of each run of this host: made when its child is put there, before it may run."""

from pathlib import Path

import structlog

from shared.errors import RunCancelError
from worker.processes.cgroup import Cgroup, path_of
from worker.processes.identity import Identity, read_stat
from worker.processes.watch import EndWatch

log = structlog.get_logger(__name__)

# Seconds.
_DISCARD_WAIT = 1.0


class ContainmentFailed(RunCancelError):
    """The run's process cannot be put where it must be; the message says why."""


class InsideRun(RunCancelError):
    """Who asks for a run, or what is to become one, is of another run; the message says which."""


class RunCgroups:
    """`root` is where runs get their cgroups, None to go without.

    With `required`, a process that cannot be put into one is not started.
    """

    def __init__(self, root: Path | None, *, required: bool) -> None:
        self._root = root
        self._required = required

    def contain(self, run_id: int, child: Identity) -> Cgroup | None:
        """Put `child` into a cgroup of the run's own; None where it goes without.

        Raises InsideRun and ContainmentFailed.
        """
        if self._root is None:
            return None
        # Named for the child as well: run ids come again in another installation's database.
        cgroup = Cgroup(self._root / f"run-{run_id}-{child.pid}-{child.start_ticks}")
        before = path_of(child.pid)
        if before is not None and self._root in before.parents and before != cgroup.path:
            # It would be taken out of the one that is to hold it.
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
    """End a child that may not start. It waits at its barrier and has run nothing."""
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
    """Raise ContainmentFailed if the child died and its pid, now another's, was moved instead."""
    stat = read_stat(child.pid)
    if stat is not None and stat.identity == child and stat.thread == child.pid:
        return
    if stat is not None and before is not None:
        Cgroup(before).add(child.pid)
    raise ContainmentFailed(f"process {child.pid} ended before it was in its cgroup")
