"""What a round is made of."""

from dataclasses import dataclass
from pathlib import Path

from tools.services import Replication


@dataclass(frozen=True, slots=True)
class Options:
    directory: Path
    """Where all logs go."""
    seconds: float
    """Of load and faults; starting, settling and checking come on top."""
    seed: int
    rate: float = 8.0
    """Scenarios begun per second; each sends one cancel or a few."""
    kinds: tuple[str, ...] = ()
    """Faults to choose from; empty for all that are usual."""
    unknown_runs: int | None = None
    """Commands for runs that do not exist; None for one per ten seconds."""
    settle_seconds: float = 120.0
    cluster: bool = False
    replication: Replication | None = None
    """Of Postgres to its standby; None without a standby."""
    one_address: bool = False
    """Whether programs reach all servers of a service by one address, not by several hosts."""

    @property
    def unknown_count(self) -> int:
        if self.unknown_runs is not None:
            return self.unknown_runs
        return min(40, max(1, round(self.seconds / 10)))
