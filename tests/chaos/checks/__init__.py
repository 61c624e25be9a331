"""The promises, one module each. They know what `tests.chaos.facts` collected and nothing else."""

from collections.abc import Callable

from tests.chaos.checks import (
    accepted,
    bystanders,
    dead,
    deadlines,
    programs,
    repeats,
    results,
    settled,
    states,
    told,
)
from tests.chaos.checks.model import Checked, Violation
from tests.chaos.facts import Facts

CHECKS: tuple[Callable[[Facts], Checked], ...] = (
    accepted.check,
    dead.check,
    bystanders.check,
    states.check,
    deadlines.check,
    repeats.check,
    results.check,
    settled.check,
    told.check,
    programs.check,
)

__all__ = ["CHECKS", "Checked", "Violation"]
