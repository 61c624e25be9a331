"""Mutants that are no mistakes: no test can notice them, or none should. They are not counted.

Each by its file, its function or constant, the line and the changed line, with the reason.
"""

from dataclasses import dataclass
from typing import Final

from tools.mutants.mutant import Mutant


@dataclass(frozen=True, slots=True)
class Equivalent:
    file: str
    scope: str
    before: str
    after: str
    reason: str


EQUIVALENT: Final[tuple[Equivalent, ...]] = ()


def reason(mutant: Mutant) -> str | None:
    """Why the mutant is not counted, or None."""
    return _REASONS.get(mutant.key)


_REASONS: Final = {
    (each.file, each.scope, each.before, each.after): each.reason for each in EQUIVALENT
}
