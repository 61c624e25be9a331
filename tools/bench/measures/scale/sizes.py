"""How large the installation is."""

from dataclasses import dataclass, field

from tools.bench.filled.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Scale:
    filled: Sizes = field(default_factory=Sizes)
    hosts: int = 500
    connections: int = 2
    """Connections to the broker of each host in the end. A worker has five."""
    runs_per_host: int = 6
    """Runs that are going on, by the record."""
    returning: int = 10_000
    """Live runs of a host that returns."""
    commands: int = 50_000
    """Open ones on these, as many on each."""
    cancels: int = 60
    """Single ones, in each round."""
    seconds: float = 15.0
    """Over which an idle installation is looked at."""
    settle: float = 11.0
    """Seconds before that: Postgres counts what a session did up to ten seconds later."""
