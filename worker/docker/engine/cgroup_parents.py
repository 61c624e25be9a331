"""Where the containers of a run are put, and whether that can be seen from here."""

import os
from contextlib import suppress
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import Final
from uuid import UUID

from worker.docker.engine.client import CgroupDriver, Engine
from worker.docker.engine.place import names_cgroups_as_we
from worker.processes import cgroup
from worker.processes.cgroup import CONTAINERS, Cgroup

_OWN: Final = "run-cancel"
"""Parent of the containers of runs that have no cgroup of their own."""
_SLICE: Final = "runcancel"
_SHARED: Final = (f"/{_OWN}", f"{_SLICE}.slice")
"""Of all runs of a worker that could not remove a parent for each: there, the label alone tells."""
_INITIAL_NAMESPACE: Final = "cgroup:[4026531835]"
"""PROC_CGROUP_INIT_INO of the kernel, which is fixed."""


async def parent_for(launch_id: UUID, run_cgroup: str | None, engine: Engine) -> str:
    """The cgroup parent for the containers of a run, as the engine's API takes it.

    With the cgroupfs driver, it is in the run's own cgroup if there is one and if we see cgroups
    under the names that the engine does. systemd takes the name of a slice.
    Raises EngineUnavailable.
    """
    is_systemd = await engine.driver() is CgroupDriver.SYSTEMD
    sees_all = _sees_all()
    if not sees_all and not await names_cgroups_as_we(engine.path):
        return _SHARED[is_systemd]
    if is_systemd:
        return f"{_SLICE}{launch_id.hex}.slice"
    if run_cgroup is not None and sees_all and (mount := cgroup.mount_point()) is not None:
        return f"/{Path(run_cgroup).relative_to(mount)}/{CONTAINERS}"
    return f"/{_OWN}/{launch_id}"


def is_shared(parent: str) -> bool:
    """Whether containers of other runs can be there, too."""
    return parent in _SHARED


def is_slice(parent: str) -> bool:
    return parent.endswith(".slice")


def launch_in(path: Path) -> UUID | None:
    """The launch whose containers are in the cgroup at `path`, or above it, if its name says so."""
    for above, part in pairwise(("", *path.parts)):
        name = part.removeprefix(_SLICE).removesuffix(".slice")
        if above == _OWN or name != part:
            try:
                return UUID(name)
            except ValueError:
                continue
    return None


def is_in(path: Path, parent: str) -> bool:
    """Whether the cgroup at `path` is in that which the engine knows as `parent`.

    A user can give the same name to a cgroup elsewhere, in what is delegated to it.
    """
    mount = cgroup.mount_point()
    if mount is None or not path.is_relative_to(mount):
        return False
    # In a cgroup namespace, what is outside of it shows as above its root.
    parts = list(dropwhile("..".__eq__, path.relative_to(mount).parts))
    expected = Path(parent.lstrip("/")).parts
    return tuple(parts[: len(expected)]) == expected


def visible(parent: str) -> Cgroup | None:
    """The cgroup that `parent` names, if what is in it can be seen and killed from here.

    It need not exist, as the engine makes it for the first container.
    """
    mount = cgroup.mount_point()
    if mount is None or is_shared(parent):
        return None
    found = Cgroup(mount / parent.lstrip("/"))
    # Its name is that of a launch. So if it exists, the engine is in our cgroup namespace.
    if not _sees_all() and not found.exists():
        return None
    # What is in the run's own cgroup is killed with that, whoever made it.
    may_kill = parent.endswith(f"/{CONTAINERS}") or os.access(mount, os.W_OK)
    return found if may_kill else None


def thaw(parent: str) -> None:
    """Let what is paused in there die of a SIGKILL, which stays pending in a freezer of cgroup v1.

    For an engine that is away and does not unpause. Only where `parent` is visible.
    """
    for mount in cgroup.mount_points():
        for state in (mount / parent.lstrip("/")).glob("*/freezer.state"):
            with suppress(OSError):  # not permitted, or gone
                state.write_text("THAWED")


def _sees_all() -> bool:
    """Whether cgroups have the same names here as for the engine."""
    return str(Path("/proc/self/ns/cgroup").readlink()) == _INITIAL_NAMESPACE
