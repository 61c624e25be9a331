"""The interface of a run's process tree, for each kind of containment."""

import signal
from typing import Protocol

from shared.states import Containment, Proof
from worker.evidence import Survivor


class Tree(Protocol):
    """All processes of one run. Signals reach these processes and no others."""

    containment: Containment
    proof: Proof
    kill_signals: tuple[signal.Signals, ...]
    """The signals that `kill` sends, in order."""

    async def is_gone(self) -> bool:
        """Whether no process of the tree is left; True is the proof."""

    async def send(self, *signals: signal.Signals) -> int:
        """Send `signals`, in order, to all processes; the number of processes that got them."""

    def send_to_leader(self, signum: signal.Signals) -> bool:
        """Send a signal to the first process alone; False if it is gone, or cannot be told."""

    async def kill(self) -> int:
        """Kill all processes, including concurrent forks; their number."""

    async def changed(self, timeout: float) -> None:
        """Wait until a process may have ended, at most `timeout` seconds."""

    async def survivors(self) -> tuple[Survivor, ...]:
        """The processes that are left."""

    def in_doubt(self) -> tuple[Survivor, ...]:
        """Live processes, at the last look, that may or may not belong to the tree."""

    def escaped(self) -> tuple[Survivor, ...]:
        """The processes found outside of the containment so far."""

    def close(self) -> None:
        """Close descriptors, and remove the containment if it is empty."""
