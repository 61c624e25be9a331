"""cgroup v2: the directory for the runs of a host, and operations on a cgroup.

Facts are from the kernel's admin guide, "Control Group v2". A kernel without `cgroup.kill`
(before 5.14) counts as one without cgroups.
"""

import errno
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from shared.errors import RunCancelError

CONTAINERS: Final = "containers"
"""The name of the cgroup, in that of a run, in which its containers are."""


class CgroupUnavailable(RunCancelError):
    """There is no cgroup v2 in which this process can create children; the message says why."""


class Cgroup:
    """One directory of the hierarchy."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def exists(self) -> bool:
        return self.path.is_dir()

    def inode(self) -> int | None:
        """Identifies the cgroup within this boot; None if it does not exist."""
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return None

    def add(self, pid: int) -> None:
        """Move `pid` into it. Raises OSError, for example PermissionError."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def is_populated(self) -> bool:
        """Whether any process lives in it or below. Zombies do not count."""
        events = _read(f"{self.path}/cgroup.events")
        # Removed means empty: the kernel removes no cgroup that holds a live process.
        return events is not None and b"populated 1" in events

    def members(self, *, without_containers: bool = False) -> list[int]:
        """The pids in it and below."""
        pids = _pids(str(self.path))
        containers = f"{self.path}/{CONTAINERS}"
        for group in self._below():
            if without_containers and group.startswith(containers):
                continue
            try:
                pids += _pids(group)
            except OSError as error:
                # A root job may create threaded cgroups; ours lists the processes in those below
                # it.
                if error.errno != errno.EOPNOTSUPP:
                    raise
        return pids

    def populated_children(self) -> list[str]:
        """The names of the cgroups directly in it that hold a live process."""
        with _removed_is_fine():
            return [
                child.name
                for child in self.path.iterdir()
                if child.is_dir() and Cgroup(child).is_populated()
            ]
        return []

    def contains(self, path: Path) -> bool:
        """Whether the cgroup at `path` is this one or below it."""
        return path == self.path or self.path in path.parents

    def can_be_left_for(self, path: Path) -> bool:
        """Whether a process of our own user could move from here to `path`.

        It must be able to write to the cgroup above both (Delegation Containment).
        """
        above = os.path.commonpath((self.path, path))
        return os.access(f"{above}/cgroup.procs", os.W_OK)

    def kill(self) -> None:
        """SIGKILL everything in it and below, concurrent forks included."""
        with _removed_is_fine():
            (self.path / "cgroup.kill").write_text("1")

    def remove(self) -> bool:
        """Remove it with all below; False while something is in it."""
        for group in (*reversed(self._below()), str(self.path)):
            try:
                os.rmdir(group)  # noqa: PTH106 - hot
            except FileNotFoundError:
                continue
            except OSError:  # EBUSY
                return False
        return True

    def watch(self, poll: select.epoll) -> int | None:
        """Let `poll` wake on changes of `cgroup.events`; the descriptor to close, if it exists."""
        try:
            fd = os.open(self.path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        # kernfs reports a change as POLLPRI, once per read.
        poll.register(fd, select.EPOLLPRI)
        with _removed_is_fine():
            os.read(fd, 256)
        return fd

    def _below(self) -> list[str]:
        # Most have none. The link count of a kernfs directory is the number of children plus two,
        # and reading it costs far less than listing all files.
        with _removed_is_fine():
            if os.stat(self.path).st_nlink > 2:  # noqa: PTH116 - hot
                return [
                    f"{directory}/{name}"
                    for directory, names, _ in os.walk(self.path)
                    for name in names
                ]
        return []


def mount_point() -> Path | None:
    """Where cgroup v2 is mounted."""
    mounted = _mount()
    return None if mounted is None else mounted[0]


def mount_points() -> list[Path]:
    """Where cgroups of either version are mounted."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith(("cgroup ", "cgroup2 ")):
            found.append(Path(fields.split()[4]))
    return found


def path_of(pid: int | str) -> Path | None:
    """The directory of the v2 cgroup that `pid` (or "self") is in."""
    mounted = _mount()
    if mounted is None:
        return None
    mount, root = mounted
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in lines:
        if line.startswith("0::"):
            inside = Path(line.removeprefix("0::").removesuffix(" (deleted)"))
            below = inside.relative_to(root) if inside.is_relative_to(root) else inside
            return mount / str(below).lstrip("/")
    return None


def runs_root(host: str) -> Path:
    """Make and return the directory for this host's runs, below the worker's own cgroup.

    Raises CgroupUnavailable.
    """
    own = path_of("self")
    if own is None:
        raise CgroupUnavailable("no cgroup v2 is mounted")
    root = own / "cancel-worker" / host
    probe = Cgroup(root / f"probe-{os.getpid()}")
    try:
        probe.create()
        is_cgroup = (probe.path / "cgroup.procs").exists()
        has_kill = (probe.path / "cgroup.kill").exists()
        probe.remove()
    except OSError as error:
        raise CgroupUnavailable(f"cannot create {root}: {error.strerror}") from None
    if not is_cgroup:
        sweep(root)
        raise CgroupUnavailable(f"something else is mounted over the cgroup v2 at {own}")
    if not has_kill:
        raise CgroupUnavailable("this kernel has no cgroup.kill (Linux 5.14 or later has)")
    return root


def sweep(root: Path) -> None:
    """Remove what is empty below `root`, and `root` if that leaves it empty."""
    for child in root.iterdir() if root.is_dir() else ():
        if child.is_dir():
            Cgroup(child).remove()
    with suppress(OSError):  # EBUSY: a run is still in it
        root.rmdir()


def _pids(group: str) -> list[int]:
    return [int(pid) for pid in (_read(f"{group}/cgroup.procs") or b"").split()]


def _read(path: str) -> bytes | None:
    """The file's content, or None if its cgroup was removed. Other errors are raised."""
    with _removed_is_fine(), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - hot
        return file.read()
    return None


@contextmanager
def _removed_is_fine() -> Iterator[None]:
    # ENODEV: the cgroup was removed after the file had been opened.
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def _mount() -> tuple[Path, Path] | None:
    # Looked up, never assumed: hybrid hosts mount it at /sys/fs/cgroup/unified (proc(5)).
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.startswith("cgroup2 "):
            _, _, _, root, mount = fields.split()[:5]
            return Path(mount), Path(root)
    return None
