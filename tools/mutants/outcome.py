"""What became of a mutant."""

from dataclasses import dataclass
from enum import StrEnum

from tools.mutants.mutant import Mutant


class Fate(StrEnum):
    NOTICED = "noticed"
    """By a test of its area."""
    NOTICED_WIDER = "noticed by wider tests"
    TIMED_OUT = "timed out"
    """The tests did not end: also noticed."""
    SURVIVED = "survived"
    INVALID = "invalid"
    """Postgres cannot prepare it. Not counted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    area: str
    mutant: Mutant
    fate: Fate
    seconds: float
    test: str = ""
    """That noticed it."""
