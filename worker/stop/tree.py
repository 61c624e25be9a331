"""A run's processes as the ladder sees them, however they are held together."""

import signal
from typing import Protocol

from shared.states import Containment, Proof
from worker.evidence import Survivor


class Tree(Protocol):
    """All processes of one run. Signaling reaches those of the tree and no other."""

    containment: Containment
    proof: Proof
    kill_signals: tuple[signal.Signals, ...]
    """What `kill` sends, in order."""

    async def is_gone(self) -> bool:
        """Whether nothing of the tree runs any more; True is the proof."""

    async def send(self, *signals: signal.Signals) -> int:
        """Send `signals`, in order, to every process; return how many processes took them."""

    async def kill(self) -> int:
        """Kill every process, those that fork meanwhile included; return how many."""

    async def changed(self, timeout: float) -> None:
        """Wait until something of the tree may have ended, `timeout` seconds at most."""

    async def survivors(self) -> tuple[Survivor, ...]:
        """What is left now."""

    def in_doubt(self) -> tuple[Survivor, ...]:
        """What lived when it was last looked for, and may be of the tree or may not."""

    def escaped(self) -> tuple[Survivor, ...]:
        """What was found outside of its containment so far."""

    def close(self) -> None:
        """Let go of descriptors, and of the containment if nothing is left in it."""
