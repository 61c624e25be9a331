"""How much a database is filled with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of rows. Actions and labels follow from them."""

    runs: int = 3_000_000
    cancellations: int = 1_000_000
    """At most half the number of runs."""
    letters: int = 200_000
    hosts: int = 500
    days: int = 365
    """What happened is spread over these, up to now."""

    @property
    def live(self) -> int:
        """The newest runs, which are not over: half of them queued, a tenth canceling."""
        return min(2000, self.runs // 50)

    @property
    def up(self) -> int:
        """Hosts that are up, which have the live runs: those with the lowest numbers."""
        return max(1, self.hosts * 6 // 10)

    @property
    def canceled_per_thousand(self) -> int:
        """Of the runs that are over. The other commands are repeats."""
        return min(500, 900 * self.cancellations // max(1, self.runs))
