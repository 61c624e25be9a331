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


EQUIVALENT: Final = (
    Equivalent(
        "shared/configuration/settings.py",
        "DatabaseSettings",
        "model_config = ConfigDict(frozen=True, validate_default=True, defer_build=True)",
        "model_config = ConfigDict(frozen=True, validate_default=True, defer_build=False)",
        "builds validators earlier: a command starts later for it, but does the same",
    ),
    Equivalent(
        "shared/configuration/tracing.py",
        "TracingSettings",
        "model_config = ConfigDict(defer_build=True)",
        "model_config = ConfigDict(defer_build=False)",
        "likewise",
    ),
    Equivalent(
        "worker/processes/known_launchers.py",
        "KnownLaunchers.add",
        "if len(self._known) > self._most:",
        "if len(self._known) >= self._most:",
        "launchers that have ended are forgotten one launch earlier, which nobody relies on",
    ),
    Equivalent(
        "worker/decisions/store.py",
        "lock_runs",
        "if (row := rows.get(each.command.command_id)) is not None "
        'and row["command_outcome"] in (None, Outcome.STOP_FAILED)',
        "if (row := rows.get(each.command.command_id)) is not None",
        "only looks once more at a command that is settled",
    ),
)


def reason(mutant: Mutant) -> str | None:
    """Why the mutant is not counted, or None."""
    return _REASONS.get(mutant.key)


_REASONS: Final = {
    (each.file, each.scope, each.before, each.after): each.reason for each in EQUIVALENT
}
