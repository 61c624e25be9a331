"""What a round is made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.services import Replication

SETTLE_SECONDS: Final = 240.0
"""For all work to end after the load.

RabbitMQ moves an expired message again after 180 s if the leader of the target queue died in just
that moment (`dead_letter_worker_publisher_confirm_timeout`).
"""


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
    settle_seconds: float = SETTLE_SECONDS
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
