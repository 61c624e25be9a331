"""A tree in a cgroup: forks stay inside, and the kernel reports when it is empty."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from shared.states import Containment, Proof
from worker.evidence import Survivor, named
from worker.processes import scan
from worker.processes.cgroup import Cgroup, path_of
from worker.processes.identity import Identity, ProcessHandle, ProcessStat, read_stat
from worker.processes.scan import Kinship
from worker.processes.watch import EndWatch

# Maximum number of passes, to reach processes that fork during a pass.
_MAX_PASSES = 5
# Looks at a process whose threads end meanwhile.
_MAX_LOOKS = 10
# Polling interval for escaped processes, for which there is no kernel event, seconds.
_ESCAPED_POLL = 0.05


class CgroupTree:
    """The processes in `cgroup`, and those of the run that are found outside.

    These are what the launcher has started besides, and, if `may_escape`, what left the cgroup
    but kept the launch id. Only a job that runs as root or as the worker's own user can leave it,
    so only for such a job is all of /proc looked through. Without `kin`, nothing outside is
    looked for: of a run in another pid namespace no pid means here what it means there.
    """

    containment = Containment.CGROUP
    proof = Proof.CGROUP_EMPTY
    kill_signals: tuple[signal.Signals, ...] = (signal.SIGKILL,)

    def __init__(self, cgroup: Cgroup, kin: Kinship | None, *, may_escape: bool = False) -> None:
        self._cgroup = cgroup
        self._kin = kin
        self._may_escape = may_escape
        self._escaped: dict[Identity, ProcessStat] = {}
        self._in_doubt: list[ProcessStat] = []
        self._lives_outside = False
        self._watch = EndWatch()
        self._watch.add_cgroup(cgroup)

    async def is_gone(self) -> bool:
        if self._cgroup.is_populated():
            return False
        return not await self._find_escaped() and not self._in_doubt

    async def send(self, *signals: signal.Signals) -> int:
        # The processes of containers are not for us to signal: each container has a signal of its
        # own, for its first process.
        reached = self._signal_members(signals, without_containers=True)
        for stat in await self._find_escaped():
            reached.add(stat.identity)
            self._watch.send(stat.identity, *signals)
        return len(reached)

    def send_to_leader(self, signum: signal.Signals) -> bool:
        return self._kin is not None and self._watch.send(self._kin.leader, signum)

    async def kill(self) -> int:
        # A process that starts another one and ends may be gone before we look at it; a populated
        # cgroup still has at least one.
        count = max(len(self._members()), self._cgroup.is_populated())
        self._cgroup.kill()
        # It does nothing to a process whose first thread has ended (seen on Linux 6.18).
        if any(stat.thread != stat.identity.pid for stat in self._members()):
            self._signal_members((signal.SIGKILL,))
        escaped = await self._find_escaped()
        for stat in escaped:
            self._watch.send(stat.identity, signal.SIGKILL)
        return count + len(escaped)

    async def changed(self, timeout: float) -> None:
        # Our cgroup does not change when these end.
        await self._watch.wait(min(timeout, _ESCAPED_POLL) if self._lives_outside else timeout)

    async def survivors(self) -> tuple[Survivor, ...]:
        return named([*self._members(), *await self._find_escaped()])

    def in_doubt(self) -> tuple[Survivor, ...]:
        return named(self._in_doubt)

    def escaped(self) -> tuple[Survivor, ...]:
        return named(self._escaped.values())

    def close(self) -> None:
        self._watch.close()
        self._cgroup.remove()

    def _members(self, *, without_containers: bool = False) -> list[ProcessStat]:
        pids = self._cgroup.members(without_containers=without_containers)
        stats = map(read_stat, pids)
        return [stat for stat in stats if stat is not None and not stat.is_dead]

    async def _find_escaped(self) -> list[ProcessStat]:
        if self._kin is None:
            return []
        found: dict[Identity, ProcessStat] = {}
        # Normally there is none, and this check is faster than a thread.
        if scan.has_beside(self._kin):
            found = await asyncio.to_thread(scan.find_beside, self._kin)
        if self._may_escape:
            marked, in_doubt = await asyncio.to_thread(scan.find_marked, self._kin)
            self._in_doubt = [stat for stat in in_doubt if self._may_be_escaped(stat)]
            found |= {stat.identity: stat for stat in marked}
        escaped = [stat for stat in found.values() if self._is_outside(stat)]
        self._lives_outside = bool(escaped or self._in_doubt)
        self._escaped.update((stat.identity, stat) for stat in escaped)
        return escaped

    def _is_outside(self, stat: ProcessStat) -> bool:
        where = _where(stat)
        return where is not None and not self._cgroup.contains(where)

    def _may_be_escaped(self, stat: ProcessStat) -> bool:
        where = _where(stat)
        return (
            where is not None
            and not self._cgroup.contains(where)
            and self._cgroup.can_be_left_for(where)
        )

    def _signal_members(
        self, signals: tuple[signal.Signals, ...], *, without_containers: bool = False
    ) -> set[Identity]:
        reached: set[Identity] = set()
        for _ in range(_MAX_PASSES):
            members = self._members(without_containers=without_containers)
            new = [stat for stat in members if stat.identity not in reached]
            if not new:
                break
            reached.update(stat.identity for stat in new)
            self._send_inside([stat.identity for stat in new], signals)
        return reached

    def _send_inside(
        self, identities: Sequence[Identity], signals: tuple[signal.Signals, ...]
    ) -> None:
        handles = [handle for each in identities if (handle := ProcessHandle.open(each))]
        # A pid that was listed may have been reused before it was opened. Of those that are held
        # open now, and only what is in the cgroup is ours, each pid is its process's until that
        # has ended.
        inside = set(self._cgroup.members())
        for handle in handles:
            if handle.identity.pid in inside:
                self._send(handle, signals)
            else:
                handle.close()

    def _send(self, handle: ProcessHandle, signals: tuple[signal.Signals, ...]) -> None:
        for signum in signals:
            handle.send(signum)
        self._watch.adopt(handle)


def _where(stat: ProcessStat) -> Path | None:
    """The current cgroup of the process; None if it has ended, which is not an escape."""
    for _ in range(_MAX_LOOKS):
        now = read_stat(stat.identity.pid)
        if now is None or now.identity != stat.identity or now.is_dead:
            return None
        if (where := path_of(now.thread)) is not None:
            return where
    return Path("/")  # all its threads ended during the look, so it was not seen inside
