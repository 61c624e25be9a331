"""What an engine that was killed leaves behind: processes, mounts, cgroups."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tools.support.waiting import eventually


async def remove(directory: Path, cgroup_parent: str) -> None:
    """Remove all that is left of the engine that had this directory and this cgroup parent."""
    kill_containers(cgroup_parent)
    for pid in processes(directory):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not processes(directory), what="what the engine started")
    for mount in mounts(directory):
        process = await asyncio.create_subprocess_exec("umount", "--lazy", mount)
        assert await process.wait() == 0, mount
    if cgroup_parent.endswith(".slice"):
        process = await asyncio.create_subprocess_exec("systemctl", "stop", cgroup_parent)
        assert await process.wait() == 0, cgroup_parent
    await eventually(lambda: _remove_cgroups(cgroup_parent), what="whether its cgroups are gone")


def kill_containers(cgroup_parent: str) -> None:
    for kill in (group / "cgroup.kill" for group in cgroups(cgroup_parent)):
        if kill.exists():  # those of cgroup v1 have none
            kill.write_text("1")


def processes(directory: Path) -> list[int]:
    """Those that were started with a path in it: the engine's programs, and a shim a container."""
    marked = f"{directory}/".encode()
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                if marked in Path(entry.path, "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def mounts(directory: Path) -> list[str]:
    """Those below it, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    targets = [line.split()[4] for line in lines]
    return [target for target in reversed(targets) if target.startswith(f"{directory}/")]


def cgroups(cgroup_parent: str) -> list[Path]:
    """What exists of it, in any hierarchy."""
    return [group for group in _cgroups(cgroup_parent) if group.exists()]


def _cgroups(cgroup_parent: str) -> Iterator[Path]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in ("cgroup", "cgroup2"):
            yield Path(before.split()[4], cgroup_parent.lstrip("/"))


def _remove_cgroups(cgroup_parent: str) -> bool:
    for group in cgroups(cgroup_parent):
        for path, _, _ in os.walk(group, topdown=False):
            # EBUSY: what was killed is still in it.
            with suppress(OSError):
                Path(path).rmdir()
    return not cgroups(cgroup_parent)
