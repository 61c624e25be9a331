"""What this worker can see and signal, determined once at start.

Kernel facts are from capabilities(7) and proc(5): the environment of another user's process is for
CAP_SYS_PTRACE alone, a signal for CAP_KILL, and /proc may be mounted so that it hides processes.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

_CAP_KILL: Final = 5
_CAP_SYS_PTRACE: Final = 19
# proc(5), hidepid: the values that hide processes, old and new names.
_HIDING: Final = frozenset({"2", "invisible", "4", "ptraceable"})
# Those that exempt a group.
_GROUP_SEES_ALL: Final = frozenset({"2", "invisible"})


@dataclass(frozen=True, slots=True)
class Privileges:
    """Privileges over the processes of other users, unless noted otherwise."""

    uid: int
    signals_all: bool
    reads_all: bool
    """May read their environment, with which processes that left their tree are found."""
    lists_all: bool
    """Whether /proc lists all processes. If not, some of our own user's are missing too."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def own_privileges() -> Privileges:
    """Those of this process."""
    capabilities = _effective_capabilities()
    reads_all = bool(capabilities >> _CAP_SYS_PTRACE & 1)
    return Privileges(
        uid=os.geteuid(),
        signals_all=bool(capabilities >> _CAP_KILL & 1),
        reads_all=reads_all,
        lists_all=reads_all or not _is_hiding(_proc_options()),
    )


def why_not_found(privileges: Privileges, uid: int, pid: int) -> str | None:
    """Why scans would not find all processes of a run of `uid`, now at `pid`; None if they would.

    If they would not, its end could not be proved.
    """
    if not privileges.lists_all:
        return "this worker cannot find a run's processes: /proc is mounted with hidepid"
    if not _can_read(pid):
        return (
            f"this worker runs as user {privileges.uid} without CAP_SYS_PTRACE and cannot read "
            f"processes of user {uid}, so it could not prove that they are gone: give it that "
            f"capability or a cgroup v2, or run the job as user {privileges.uid}"
        )
    return None


def _can_read(pid: int) -> bool:
    try:
        Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:
        return False
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended, so it cannot be missed
    return True


def _effective_capabilities() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def _proc_options() -> dict[str, str]:
    """The mount options of /proc."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[4] == "/proc" and rest.startswith("proc "):
            pairs = (option.partition("=") for option in rest.split()[-1].split(","))
            found = {name: value for name, _, value in pairs}  # the last mount is the one on top
    return found


def _is_hiding(options: dict[str, str]) -> bool:
    how = options.get("hidepid", "off")
    if how not in _HIDING:
        return False
    excepted = int(options.get("gid", "0")) in (os.getegid(), *os.getgroups())
    return not (how in _GROUP_SEES_ALL and excepted)
