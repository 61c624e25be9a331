"""The promises, one module each. They know what `observed.facts` collected and nothing else."""

from collections.abc import Callable

from tools.chaos.checks import (
    accepted,
    bystanders,
    dead,
    deadlines,
    expired,
    many,
    programs,
    refused,
    registered,
    repeats,
    results,
    settled,
    states,
)
from tools.chaos.checks.events import told
from tools.chaos.checks.model import Checked, Violation
from tools.chaos.observed.facts import Facts

CHECKS: tuple[Callable[[Facts], Checked], ...] = (
    registered.check,
    refused.check,
    expired.check,
    accepted.check,
    many.check,
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
