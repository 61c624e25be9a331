"""What was measured."""

from dataclasses import dataclass, field

from tools.bench.measures.scale.usage import Usage


@dataclass(slots=True)
class Found:
    """What was measured: milliseconds from POST to row by round, and the rest."""

    few: list[list[float]] = field(default_factory=list)
    """Without hosts, and with no other runs than those that are canceled."""
    filled: list[list[float]] = field(default_factory=list)
    """Without hosts."""
    hosts: list[list[float]] = field(default_factory=list)
    alone: Usage = field(default_factory=Usage)
    """With one worker."""
    beside: Usage = field(default_factory=Usage)
    """With many hosts, too."""
    like_workers: Usage = field(default_factory=Usage)
    """With many hosts that have as many connections as workers."""
    broker_connections: int = 0
    """Of an idle worker."""
    database_connections: int = 0
    rates: list[float] = field(default_factory=list)
    """Open commands per second, at a return."""
    peaks: list[float] = field(default_factory=list)
    """MB of the worker's memory (PSS) meanwhile."""
    published: list[float] = field(default_factory=list)
    """Seconds until the last event was published."""
