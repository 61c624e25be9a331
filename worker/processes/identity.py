"""The identity of a process: boot id, pid and start time, checked with a pidfd.

A pid alone identifies nothing: the kernel reuses it as soon as the process is reaped.
"""

import errno
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from uuid import UUID

from shared.errors import RunCancelError

# PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h.
_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
_DEAD = "ZXx"
_PF_KTHREAD = 0x00200000  # the kernel's include/linux/sched.h
_MAX_LOOKS = 10
# Opening a pidfd of a number that now belongs to a thread: ENOENT, or EINVAL on older kernels.
_NO_SUCH_PROCESS = (errno.ESRCH, errno.ENOENT, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of this boot. `start_ticks` is in clock ticks since boot (proc(5), field 22)."""

    pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """The contents of /proc/PID/stat (proc(5)), of a live thread if there is one."""

    identity: Identity
    name: str
    state: str
    parent: int
    session: int
    thread: int
    """The first thread or, if that has ended (pthread_exit(3)), a live one.

    For an ended thread, the kernel reports no environment, and the cgroup in which it ended, which
    may not be those of its process.
    """

    is_kernels: bool
    """A kernel thread: it was not started by a process and has no environment."""

    @property
    def is_dead(self) -> bool:
        """A zombie or a process being removed: it runs no code and takes no signals."""
        return self.state in _DEAD


@cache
def boot_id() -> UUID:
    """The kernel's id for this boot."""
    return UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip())


def machine_id() -> str | None:
    """The id of this machine (machine-id(5)); None if it has none."""
    try:
        return Path("/etc/machine-id").read_text().strip() or None
    except OSError:
        return None


class ForeignProc(RunCancelError):
    """/proc shows another pid namespace than ours, so its pids do not match ours."""


@cache
def pid_namespace() -> str:
    """A unique name for this process's pid namespace within this boot.

    The inode number alone may be reused (pid_namespaces(7)), so the name includes the start time of
    its init, in clock ticks since boot. Raises ForeignProc.
    """
    if os.readlink("/proc/self") != str(os.getpid()):  # noqa: PTH115 - a number, not a path
        raise ForeignProc
    init = read_stat(1)
    return f"{_inode()}:{init.identity.start_ticks if init else 0}"


def is_machines_own(namespace: str) -> bool:
    """Whether it is the initial pid namespace, not that of a container."""
    return namespace.partition(":")[0] == str(_INITIAL_PID_NAMESPACE)


def _inode() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def read_stat(pid: int) -> ProcessStat | None:
    """The process that has `pid` now, or None."""
    stat, threads = _read_stat(f"/proc/{pid}/stat", pid, pid)
    # A process is alive while any thread is, even if it looks like a zombie.
    return _with_live_thread(stat) if stat and stat.is_dead and threads > 1 else stat


def is_alive(identity: Identity) -> bool:
    """Whether this process is there and runs code."""
    stat = read_stat(identity.pid)
    return stat is not None and stat.identity == identity and not stat.is_dead


def _with_live_thread(stat: ProcessStat) -> ProcessStat:
    """The stat of a live thread, if there is one, for a process whose first thread has ended."""
    pid = stat.identity.pid
    for _ in range(_MAX_LOOKS):
        found = list(_other_threads(pid))
        live = next((thread for thread in found if thread and not thread.is_dead), None)
        if live is not None:
            return replace(stat, state=live.state, thread=live.thread)
        if all(thread and thread.state == "Z" for thread in found):
            return stat  # a tracer may hold on to threads that have ended
    # Each one ended during the look, perhaps after it had started the next.
    return replace(stat, state="R")


def _other_threads(pid: int) -> Iterable[ProcessStat | None]:
    """All threads but the first; None for each that ended after the listing."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for name in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - hot in a scan
            if name != str(pid):
                yield _read_stat(f"/proc/{pid}/task/{name}/stat", pid, int(name))[0]


def _read_stat(path: str, pid: int, thread: int) -> tuple[ProcessStat | None, int]:
    """The stat at `path`, and the number of threads of the process."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - hot in a scan
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None, 0
    # The name may contain spaces and parentheses: the fields start after the last one.
    before, _, after = text.rpartition(b")")
    fields = after.split()
    stat = ProcessStat(
        identity=Identity(pid, int(fields[19])),
        name=before.partition(b"(")[2].decode(errors="replace"),
        state=fields[0].decode(),
        parent=int(fields[1]),
        session=int(fields[3]),
        thread=thread,
        is_kernels=bool(int(fields[6]) & _PF_KTHREAD),
    )
    return stat, int(fields[17])


def read_uids(pid: int) -> tuple[int, ...] | None:
    """The real, effective, saved and file system user ids of `pid`; None if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next(tuple(map(int, line.split()[1:])) for line in lines if line.startswith("Uid:"))


def read_uid(pid: int) -> int | None:
    """The real user id of `pid`, or None if there is no such process."""
    uids = read_uids(pid)
    return None if uids is None else uids[0]


class ProcessHandle:
    """An open pidfd, which refers to one process even if its pid is reused."""

    def __init__(self, identity: Identity, fd: int) -> None:
        self.identity = identity
        self.fd = fd

    @classmethod
    def open(cls, identity: Identity) -> "ProcessHandle | None":
        """Open the process with this `identity`; None if it is gone, even if its pid was reused."""
        try:
            fd = os.pidfd_open(identity.pid)
        except OSError as error:
            if error.errno in _NO_SUCH_PROCESS:
                return None
            raise
        # Checked after opening: the pidfd refers to the process that is looked up here.
        try:
            stat = read_stat(identity.pid)
        except OSError:
            os.close(fd)
            raise
        if stat is None or stat.identity != identity or stat.is_dead:
            os.close(fd)
            return None
        return cls(identity, fd)

    def send(self, signum: signal.Signals) -> bool:
        """Signal the process; False if it was gone, or if we may not signal it."""
        try:
            signal.pidfd_send_signal(self.fd, signum)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def close(self) -> None:
        with suppress(OSError):
            os.close(self.fd)
