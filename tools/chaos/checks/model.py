"""What a check says."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Violation:
    text: str
    began: float | None = None
    """When what it is about began and ended, where that is known, to find the faults meanwhile."""
    ended: float | None = None


@dataclass(slots=True)
class Checked:
    promise: str
    title: str
    count: int = 0
    """How many things were held against the promise."""
    violations: list[Violation] = field(default_factory=list)

    def hold(self, is_kept: bool, text: str, times: tuple[float, float] | None = None) -> None:
        """Count one thing, and note it if the promise was broken."""
        self.count += 1
        if not is_kept:
            began, ended = times or (None, None)
            self.violations.append(Violation(text, began, ended))
