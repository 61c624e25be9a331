"""Scans /proc for processes of a run that are not in its cgroup."""

import os
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID

from shared.launcher_environment import LAUNCH_VARIABLE
from worker.processes.identity import Identity, ProcessStat, read_stat, read_uids

_MARK = f"{LAUNCH_VARIABLE}=".encode()
# On a busy host, each listing may show new processes.
_MAX_LISTINGS = 10
# Looks at a process whose threads end meanwhile.
_MAX_LOOKS = 10


@dataclass(slots=True)
class Kinship:
    """The criteria for a process of a run; any one is enough.

    - its environment, as it was at exec, carries the run's launch id;
    - it descends from the launcher, which adopts the run's orphans (prctl(2), subreaper);
    - it is in the leader's session while the leader holds that session's number;
    - it was found before, or descends from one that was.
    """

    leader: Identity
    launcher: Identity
    launch_id: UUID
    uid: int
    """The user that started it."""
    adopts: bool
    """Whether the launcher adopts orphans. While it is alive, all processes descend from it."""
    launchers: Container[Identity] = ()
    """Launchers of other runs, which are not dumpable but never in doubt."""
    found: set[Identity] = field(default_factory=set)


class Scan(NamedTuple):
    """The result of a scan."""

    live: list[ProcessStat]
    """Processes of the run, without the launcher."""
    in_doubt: list[ProcessStat]
    """Live processes that may belong to the run. With any of these, an empty `live` is no proof."""


class Mark(Enum):
    """The origin of a process, by its environment at exec."""

    OURS = auto()
    ANOTHERS = auto()
    """It carries the launch id of another run."""
    NONE = auto()
    """No launch id: it belongs to no run, or was started with a cleared environment."""
    UNREADABLE = auto()
    """The process is another user's or not dumpable (prctl(2))."""
    GONE = auto()


def find(kin: Kinship) -> Scan:
    """Every live process of the run. Remembers them in `kin`."""
    processes: dict[int, ProcessStat] = {}
    marked: set[int] = set()
    in_doubt: list[ProcessStat] = []
    for stat in _all_processes():
        processes[stat.identity.pid] = stat
        # At once: a moment later, it may have started another process and ended.
        mark = _mark_of(stat, kin.launch_id)
        if mark is Mark.OURS:
            marked.add(stat.identity.pid)
        # Root always has some processes of unknown origin: services, other containers.
        elif mark is Mark.UNREADABLE or (mark is Mark.NONE and kin.uid and _is_orphan(stat)):
            in_doubt.append(stat)
    roots = _roots(kin, processes) | marked
    members = _with_descendants(roots, processes)
    # By identity: once the launcher is gone, one of the run's own processes may get its pid.
    if _is_there(kin.launcher, processes):
        members.discard(kin.launcher.pid)
    live = [processes[pid] for pid in members if not processes[pid].is_dead]
    kin.found.update(stat.identity for stat in live)
    if kin.adopts and _lives(kin.launcher):
        # It is still alive, and has been all the time: no process is in doubt.
        return Scan(live, [])
    strangers = [stat for stat in in_doubt if stat.identity.pid not in members]
    return Scan(live, _possible(strangers, kin))


def find_marked(kin: Kinship) -> Scan:
    """All live processes whose environment has the launch id, in any cgroup or session."""
    marked: list[ProcessStat] = []
    in_doubt: list[ProcessStat] = []
    for stat in _all_processes():
        if not stat.is_dead:
            mark = _mark_of(stat, kin.launch_id)
            if mark is Mark.OURS:
                marked.append(stat)
            elif mark is Mark.UNREADABLE:
                in_doubt.append(stat)
    return Scan(marked, _possible(in_doubt, kin))


def has_beside(kin: Kinship) -> bool:
    """Whether `find_beside` might find any; this reads only a few files."""
    if not _lives(kin.launcher):
        return False
    stats = map(read_stat, _children(kin.launcher.pid))
    return any(stat is not None and stat.identity != kin.leader for stat in stats)


def find_beside(kin: Kinship) -> dict[Identity, ProcessStat]:
    """All live descendants of the launcher, except the leader, that started after the leader.

    The launcher starts only the leader, so these come from a tracer of the launcher, or from the
    run.
    """
    found: dict[Identity, ProcessStat] = {}
    if not _lives(kin.launcher):
        return found
    waiting = _children(kin.launcher.pid)
    while waiting:
        stat = read_stat(waiting.pop())
        if stat is None or stat.identity == kin.leader:
            continue  # the descendants of the leader are in its cgroup
        if stat.identity.start_ticks >= kin.leader.start_ticks:
            waiting += _children(stat.identity.pid)
            if not stat.is_dead:
                found[stat.identity] = stat
    return found


def _children(pid: int) -> list[int]:
    """The children of all its threads; none if the kernel does not list them (proc(5))."""
    children: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - hot
            with suppress(FileNotFoundError, ProcessLookupError):
                path = f"/proc/{pid}/task/{thread}/children"
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - hot
                    children += map(int, file.read().split())
    return children


def _mark_of(stat: ProcessStat, launch_id: UUID) -> Mark:
    """The mark of the process, from any live thread."""
    for _ in range(_MAX_LOOKS):
        mark = read_mark(stat.thread, launch_id)
        if mark is not Mark.GONE or stat.is_dead:
            return mark
        now = read_stat(stat.identity.pid)
        if now is None or now.identity != stat.identity:
            return Mark.GONE
        stat = now
    return Mark.UNREADABLE


def read_mark(thread: int, launch_id: UUID) -> Mark:
    """The mark in the environment of a process with this `thread`."""
    try:
        found = _launch_ids(thread)
    except (FileNotFoundError, ProcessLookupError):
        return Mark.GONE
    except PermissionError:
        return Mark.UNREADABLE
    if str(launch_id).encode() in found:
        return Mark.OURS
    return Mark.ANOTHERS if found else Mark.NONE


def read_launch_id(pid: int) -> UUID | Mark:
    """The launch id in the environment of `pid`, or NONE, UNREADABLE or GONE."""
    try:
        return UUID(_launch_ids(pid)[0].decode())
    except PermissionError:
        return Mark.UNREADABLE
    except (FileNotFoundError, ProcessLookupError):
        return Mark.GONE
    except (IndexError, ValueError):
        return Mark.NONE


def _launch_ids(thread: int) -> list[bytes]:
    with open(f"/proc/{thread}/environ", "rb", buffering=0) as file:  # noqa: PTH123 - hot in a scan
        environment = file.read()
    if _MARK not in environment:
        return []
    entries = environment.split(b"\0")
    return [entry.removeprefix(_MARK) for entry in entries if entry.startswith(_MARK)]


def _is_orphan(stat: ProcessStat) -> bool:
    """Adopted by init, like the orphans of a run without its launcher."""
    return stat.parent in (0, 1)


def _possible(strangers: Iterable[ProcessStat], kin: Kinship) -> list[ProcessStat]:
    """Processes that the run may have started: not known to be older or to belong elsewhere."""
    return [
        stat
        for stat in strangers
        if not stat.is_dead
        and stat.identity.start_ticks >= kin.leader.start_ticks
        and stat.identity not in kin.launchers
        and _is_users(stat, kin.uid)
        and not _is_in_older_session(stat, kin.leader)
    ]


def _is_users(stat: ProcessStat, uid: int) -> bool:
    uids = read_uids(stat.thread) or read_uids(stat.identity.pid)
    if uids is None:
        return False  # gone
    # Root may change its user. Other users' processes normally have a parent of their own; without
    # this check, each new connection of a database would be in doubt.
    return uid in uids or (uid == 0 and _is_orphan(stat))


def _is_in_older_session(stat: ProcessStat, leader: Identity) -> bool:
    """Sessions are created or inherited, never joined (setsid(2)): an older one is not ours."""
    made_by = read_stat(stat.session)
    return (
        made_by is not None
        and made_by.session == stat.session
        and made_by.identity.start_ticks < leader.start_ticks
    )


def _lives(identity: Identity) -> bool:
    stat = read_stat(identity.pid)
    return stat is not None and stat.identity == identity and not stat.is_dead


def _roots(kin: Kinship, processes: dict[int, ProcessStat]) -> set[int]:
    roots = {
        identity.pid
        for identity in (*kin.found, kin.leader, kin.launcher)
        if _is_there(identity, processes)
    }
    # A session id is the pid of its leader and may be reused once both are gone, so it counts only
    # while the leader, alive or a zombie, still has it.
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
    """All processes, including those that start during the scan.

    A scan takes milliseconds; otherwise, a chain of short-lived processes would never be seen.
    """
    seen: set[str] = set()
    for _ in range(_MAX_LISTINGS):
        new = [name for name in os.listdir("/proc") if name.isdigit() and name not in seen]  # noqa: PTH208 - hot
        if not new:
            return
        seen.update(new)
        for stat in map(read_stat, map(int, new)):
            if stat is not None and not stat.is_kernels:
                yield stat
