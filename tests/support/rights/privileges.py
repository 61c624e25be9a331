"""Programs that run with less than root's rights, and cgroups that are given to a user."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Final
from uuid import uuid4

from worker.processes.cgroup import Cgroup, path_of

NOBODY: Final = 65534
SOMEBODY_ELSE: Final = 65533

_ENTER: Final = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'
# What the owner of a delegated cgroup must own (kernel, "Control Group v2", Delegation).
_DELEGATED: Final = ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


@cache
def why_no_users() -> str | None:
    """Why we cannot start our programs as other users, or None."""
    if os.geteuid() != 0:
        return "only root can start programs as other users"
    if shutil.which("setpriv") is None:
        return "setpriv (util-linux) is not there"
    probe = subprocess.run(
        [*as_user(NOBODY), sys.executable, "-c", "import worker.app"],
        cwd="/",
        capture_output=True,
        check=False,
    )
    return "another user cannot reach this interpreter" if probe.returncode else None


def as_user(uid: int, cgroup: Path | None = None) -> tuple[str, ...]:
    """The command that runs the one behind it as `uid`, in `cgroup`."""
    enter = () if cgroup is None else ("sh", "-c", _ENTER, "sh", str(cgroup))
    become = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    # Our home is out of its reach, and asyncpg looks there for certificates.
    return (*enter, "env", "HOME=/", *become)


def bounded(capabilities: Sequence[str]) -> tuple[str, ...]:
    """The command that leaves the one behind it these of root's capabilities."""
    allowed = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return ("setpriv", f"--bounding-set={allowed}", "--inh-caps=-all", "--no-new-privs")


@contextmanager
def delegated(uid: int) -> Iterator[Path]:
    """A cgroup of our own that is `uid`'s."""
    own = path_of("self")
    assert own is not None
    group = Cgroup(own / f"delegated-{uuid4().hex}")
    group.create()
    try:
        for name in _DELEGATED:
            os.chown(group.path / name, uid, uid)
        yield group.path
    finally:
        group.kill()
        end = monotonic() + 5
        while not group.remove():
            assert monotonic() < end, f"{group.path} is not empty"
            sleep(0.01)
