"""The promises, one module each. They know what `observed.facts` collected and nothing else."""

from collections.abc import Callable

from tools.chaos.checks import (
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
from tools.chaos.checks.model import Checked, Violation
from tools.chaos.observed.facts import Facts

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
