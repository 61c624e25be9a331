"""Programs in pid namespaces of their own, as every container has one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Final
from uuid import uuid4

from tests.support.launcher.launching import children
from tools.support.processes import why_no_cgroups
from tools.support.program import Program
from tools.support.waiting import eventually
from worker.processes.cgroup import Cgroup, mount_point, path_of

_UNSHARE: Final = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
_ENTER: Final = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
# As in a container: its own cgroup is the root of all that there is.
_OWN_CGROUPS: Final = 'umount "$0" && mount -t cgroup2 none "$0" && exec "$@"'


def why_no_namespaces() -> str | None:
    """Why we cannot make namespaces here, or None."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "only root can make pid namespaces, by unshare and nsenter (util-linux)"
    probe = subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False)
    return "no pid namespace may be made here" if probe.returncode else None


@contextmanager
def containers() -> Iterator["Containers"]:
    """Ends what is in their cgroups, and removes those."""
    made = Containers()
    try:
        yield made
    finally:
        for group in made.cgroups:
            group.kill()
            end = monotonic() + 5
            while not group.remove():
                assert monotonic() < end, f"{group.path} is not empty"
                sleep(0.01)


class Containers:
    """Commands that run the one behind them as the first process of a new pid namespace.

    Who kills the command kills all that is in it.
    """

    def __init__(self) -> None:
        self.cgroups: list[Cgroup] = []

    def new(self) -> tuple[str, ...]:
        """One that sees no cgroups but its own."""
        own, mounted = path_of("self"), mount_point()
        if own is None or mounted is None or why_no_cgroups() is not None:
            return _UNSHARE
        group = Cgroup(own / f"container-{uuid4().hex}")
        group.create()
        self.cgroups.append(group)
        enter = ("sh", "-c", _ENTER, str(group.path))
        return (*enter, *_UNSHARE, "--cgroup", "sh", "-c", _OWN_CGROUPS, str(mounted))

    def seeing_cgroups(self) -> tuple[str, ...]:
        """One that sees the machine's cgroups."""
        return _UNSHARE


async def inside(container: Program) -> tuple[str, ...]:
    """The command that runs the one behind it beside the worker in `container`."""
    await eventually(lambda: bool(children(container.process.pid)))
    (first,) = children(container.process.pid)
    return ("nsenter", "--target", str(first), "--pid", "--mount", "--")
