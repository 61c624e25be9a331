"""Looking through /proc for processes of a run that no cgroup holds."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from worker.stop.identity import Identity, ProcessStat, read_stat

LAUNCH_VARIABLE = "CANCEL_LAUNCH_ID"
# On a busy host, each listing may show somebody new.
_MAX_LISTINGS = 10


@dataclass(slots=True)
class Kinship:
    """What makes a process one of a run: any one of these is enough.

    - its environment, as it was at exec, carries the run's launch id;
    - it descends from the launcher, which adopts the run's orphans (prctl(2), subreaper);
    - it is in the leader's session while the leader holds that session's number;
    - it was found before, or descends from one that was.
    """

    leader: Identity
    launcher: Identity
    launch_id: UUID
    found: set[Identity] = field(default_factory=set)


def find(kin: Kinship) -> list[ProcessStat]:
    """Every live process of the run, the launcher excepted. Remembers them in `kin`."""
    processes: dict[int, ProcessStat] = {}
    marked: set[int] = set()
    for stat in _all_processes():
        processes[stat.identity.pid] = stat
        # At once: a moment later it may have handed over to another and be gone.
        if _is_marked(stat.identity.pid, kin.launch_id):
            marked.add(stat.identity.pid)
    roots = _roots(kin, processes) | marked
    members = _with_descendants(roots, processes)
    # By identity: once the launcher is gone, one of the run's own processes may get its pid.
    if _is_there(kin.launcher, processes):
        members.discard(kin.launcher.pid)
    live = [processes[pid] for pid in members if not processes[pid].is_dead]
    kin.found.update(stat.identity for stat in live)
    return live


def find_marked(launch_id: UUID) -> list[ProcessStat]:
    """Every live process whose environment carries `launch_id`."""
    return [
        stat
        for stat in _all_processes()
        if not stat.is_dead and _is_marked(stat.identity.pid, launch_id)
    ]


def _roots(kin: Kinship, processes: dict[int, ProcessStat]) -> set[int]:
    roots = {
        identity.pid
        for identity in (*kin.found, kin.leader, kin.launcher)
        if _is_there(identity, processes)
    }
    # A session's number is its leader's pid and may be given away once both are gone; so it says
    # something only as long as the leader, dead or alive, still holds it.
    if _is_there(kin.leader, processes):
        roots |= {pid for pid, stat in processes.items() if stat.session == kin.leader.pid}
    return roots


def _is_there(identity: Identity, processes: dict[int, ProcessStat]) -> bool:
    stat = processes.get(identity.pid)
    return stat is not None and stat.identity == identity


def _with_descendants(roots: Iterable[int], processes: dict[int, ProcessStat]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, stat in processes.items():
        children.setdefault(stat.parent, []).append(pid)
    members: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in members:
            members.add(pid)
            waiting += children.get(pid, ())
    return members


def _all_processes() -> Iterable[ProcessStat]:
    """Every process, those included that were born while the others were read.

    Reading takes milliseconds: a chain of processes, each gone by then, would never be seen.
    """
    seen: set[str] = set()
    for _ in range(_MAX_LISTINGS):
        new = [name for name in os.listdir("/proc") if name.isdigit() and name not in seen]  # noqa: PTH208 - hot
        if not new:
            return
        seen.update(new)
        yield from (stat for name in new if (stat := read_stat(int(name))) is not None)


def _is_marked(pid: int, launch_id: UUID) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123 - hot in a scan
            environment = file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False  # gone, or another user's
    mark = f"{LAUNCH_VARIABLE}={launch_id}".encode()
    return mark in environment and mark in environment.split(b"\0")
