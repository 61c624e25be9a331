"""The stop ladder. All stops of runs happen here.

    stop signal + SIGCONT ─▶ grace ─▶ SIGKILL ─▶ bounded wait ─▶ proof

It ends as soon as the tree is gone: an obedient run costs milliseconds. The stop signal goes to the
whole tree or, by the run's stop scope, to its leader alone, which passes it on. SIGCONT goes to the
whole tree in any case: a stopped process would not see what its leader passes on.
"""

import asyncio
import signal
from dataclasses import dataclass
from time import monotonic

from shared.aio.tasks import first_of
from shared.states import StopScope
from worker.evidence import Ended, Evidence, SignalSent, StopFailed, timestamp
from worker.stop.tree import Tree

# Polling interval after SIGKILL, seconds.
_KILL_AGAIN = 0.25


@dataclass(frozen=True, slots=True)
class StopPlan:
    """How to stop: `deadline` is on the monotonic clock, `kill_wait` in seconds."""

    stop_signal: signal.Signals
    deadline: float
    kill_wait: float
    scope: StopScope = StopScope.TREE


async def stop(tree: Tree, plan: StopPlan, force: asyncio.Event) -> Evidence:
    """Stop `tree` and return the evidence that it is gone.

    Setting `force` ends the grace period. Raises StopFailed if the tree is not gone
    `plan.kill_wait` seconds after SIGKILL.
    """
    return await _Stop(tree, plan, force).run()


class _Stop:
    def __init__(self, tree: Tree, plan: StopPlan, force: asyncio.Event) -> None:
        self._tree = tree
        self._plan = plan
        self._force = force
        self._began = monotonic()
        self._signals: list[SignalSent] = []
        self._killed = False

    async def run(self) -> Evidence:
        if await self._tree.is_gone() or await self._ask() or await self._kill():
            return self._gone()
        evidence = await self._survived()
        # Processes that ended during the look did not survive.
        if not evidence.survivors and await self._tree.is_gone():
            return self._gone()
        raise StopFailed(evidence)

    async def _ask(self) -> bool:
        """Send the stop signal and give the tree until the deadline; True if it is gone."""
        if self._plan.deadline <= monotonic() or self._force.is_set():
            return False
        # SIGCONT last: a stopped process handles the pending stop signal only when continued.
        if self._ask_leader():
            await self._ask_tree(signal.SIGCONT)
        else:
            await self._ask_tree(self._plan.stop_signal, signal.SIGCONT)
        return await self._gone_in_grace()

    def _ask_leader(self) -> bool:
        """Send the stop signal to the leader alone, if that is the scope and it is alive.

        Without a leader, nobody would pass the signal on.
        """
        if self._plan.scope is not StopScope.LEADER:
            return False
        at = timestamp()
        if not self._tree.send_to_leader(self._plan.stop_signal):
            return False
        self._sent((self._plan.stop_signal,), at, 1, StopScope.LEADER)
        return True

    async def _ask_tree(self, *signals: signal.Signals) -> None:
        at = timestamp()
        self._sent(signals, at, await self._tree.send(*signals))

    async def _gone_in_grace(self) -> bool:
        while not await self._tree.is_gone():
            left = self._plan.deadline - monotonic()
            if left <= 0 or self._force.is_set():
                return False
            await first_of(self._tree.changed(left), self._force.wait())
        return True

    async def _kill(self) -> bool:
        await self._send_kill()
        deadline = monotonic() + self._plan.kill_wait
        while not await self._tree.is_gone():
            left = deadline - monotonic()
            if left <= 0:
                return False
            await self._tree.changed(min(left, _KILL_AGAIN))
            # Without a cgroup, a process may have forked between our look and our kill.
            await self._send_kill()
        return True

    async def _send_kill(self) -> None:
        at = timestamp()
        count = await self._tree.kill()
        if count and not self._killed:  # repeatedly, but one is enough as evidence
            self._killed = True
            self._sent(self._tree.kill_signals, at, count)

    def _sent(
        self,
        signals: tuple[signal.Signals, ...],
        at: str,
        count: int,
        to: StopScope = StopScope.TREE,
    ) -> None:
        # To no process if only one in doubt was left, for example one that is exiting.
        if count:
            self._signals += [SignalSent(signum.name, at, count, to) for signum in signals]

    def _how(self) -> Ended:
        """`killed` if SIGKILL was sent to any process, `obeyed` if only other signals were."""
        if self._killed:
            return Ended.KILLED
        return Ended.OBEYED if self._signals else Ended.ALREADY_GONE

    def _gone(self) -> Evidence:
        return Evidence(
            ended=self._how(),
            proof=self._tree.proof,
            proved_at=timestamp(),
            containment=self._tree.containment,
            duration_ms=self._elapsed_ms(),
            signals=tuple(self._signals),
            escaped=self._tree.escaped(),
        )

    async def _survived(self) -> Evidence:
        survivors = await self._tree.survivors()
        in_doubt = self._tree.in_doubt()
        return Evidence(
            ended=Ended.NOT_PROVED if in_doubt and not survivors else Ended.SURVIVED,
            proof=None,
            containment=self._tree.containment,
            duration_ms=self._elapsed_ms(),
            signals=tuple(self._signals),
            escaped=self._tree.escaped(),
            survivors=survivors,
            in_doubt=in_doubt,
        )

    def _elapsed_ms(self) -> float:
        return round((monotonic() - self._began) * 1000, 3)
