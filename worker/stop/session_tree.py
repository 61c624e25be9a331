"""A tree without a cgroup, found by repeated scans, which is a weaker proof."""

import asyncio
import signal

from shared.states import Containment, Proof
from worker.evidence import Survivor, named
from worker.processes import scan
from worker.processes.identity import Identity, ProcessStat
from worker.processes.scan import Kinship
from worker.processes.watch import EndWatch

# One empty scan proves little, because a process may fork past the reader. Seconds between scans.
_EMPTY_SCANS = 3
_SCAN_PAUSE = 0.01
# Polling interval while processes are alive; there is no kernel event for a fork. Seconds.
_RESCAN = 0.1
# Rounds of SIGSTOP before the kill; each leaves fewer processes that can fork.
_MAX_FREEZES = 20


class SessionTree:
    """The processes that scans assign to one run."""

    containment = Containment.SESSION
    proof = Proof.SCANS_EMPTY
    kill_signals: tuple[signal.Signals, ...] = (signal.SIGSTOP, signal.SIGKILL)

    def __init__(self, kin: Kinship) -> None:
        self._kin = kin
        self._watch = EndWatch()
        self._in_doubt: list[ProcessStat] = []

    async def is_gone(self) -> bool:
        for remaining in reversed(range(_EMPTY_SCANS)):
            if await self._scan() or self._in_doubt:
                return False
            if remaining:
                await asyncio.sleep(_SCAN_PAUSE)
        return True

    async def send(self, *signals: signal.Signals) -> int:
        return len(await self._reach_all(signals))

    def send_to_leader(self, signum: signal.Signals) -> bool:
        return self._watch.send(self._kin.leader, signum)

    async def kill(self) -> int:
        # Stopped processes cannot fork: SIGSTOP until a scan shows no new process, then kill all.
        await self._reach_all((signal.SIGSTOP,))
        members = await self._scan()
        for stat in members:
            self._watch.send(stat.identity, signal.SIGKILL)
        return len(members)

    async def changed(self, timeout: float) -> None:
        await self._watch.wait(min(timeout, _RESCAN))

    async def survivors(self) -> tuple[Survivor, ...]:
        return named(await self._scan())

    def in_doubt(self) -> tuple[Survivor, ...]:
        return named(self._in_doubt)

    def escaped(self) -> tuple[Survivor, ...]:
        return ()  # without a cgroup, there is nothing to escape from

    def close(self) -> None:
        self._watch.close()

    async def _scan(self) -> list[ProcessStat]:
        live, self._in_doubt = await asyncio.to_thread(scan.find, self._kin)
        return live

    async def _reach_all(self, signals: tuple[signal.Signals, ...]) -> set[Identity]:
        reached: set[Identity] = set()
        for _ in range(_MAX_FREEZES):
            new = [stat for stat in await self._scan() if stat.identity not in reached]
            if not new:
                break
            for stat in new:
                reached.add(stat.identity)
                self._watch.send(stat.identity, *signals)
        return reached
