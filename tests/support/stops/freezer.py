"""A process that really cannot be killed: one in a frozen group of the old freezer hierarchy.

SIGKILL stays pending there until the group is thawed (kernel, "Cgroup Freezer", cgroup v1).
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4

from tools.support.processes import alive


def why_no_freezer() -> str | None:
    """Why this user on this machine cannot freeze processes this way, or None."""
    mount = _mount()
    if mount is None:
        return "no cgroup v1 freezer is mounted"
    try:
        probe = mount / f"probe-{uuid4().hex}"
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return f"cannot use the cgroup v1 freezer: {error.strerror}"
    return None


@contextmanager
def frozen(mark: str) -> Iterator[None]:
    """Freeze every process that is marked, until the end of the block."""
    mount = _mount()
    assert mount is not None
    group = mount / f"test-{uuid4().hex}"
    group.mkdir()
    pids = alive(mark)
    try:
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        yield
    finally:
        (group / "freezer.state").write_text("THAWED")
        for pid in pids:
            _put_back(mount, pid)
        _remove(group)


def _put_back(mount: Path, pid: int) -> None:
    try:
        (mount / "cgroup.procs").write_text(str(pid))
    except ProcessLookupError:
        return  # what was pending has come through


def _remove(group: Path) -> None:
    """As soon as those that died of what was pending have left it."""
    end = monotonic() + 5
    while True:
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or monotonic() > end:
                raise
        else:
            return
        sleep(0.01)


def _mount() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind == "cgroup" and "freezer" in options.split(","):
            return Path(fields.split()[4])
    return None
