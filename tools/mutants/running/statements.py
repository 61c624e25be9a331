"""Whether a mutant of SQL is still SQL."""

import json
from typing import Final

from tools.errors import ToolError
from tools.mutants.running.tests import Runner

Statements = dict[str, list[str] | None]
"""The types of the parameters of each statement; None for what is no statement."""

_LIMIT: Final = 300.0


class NotPrepared(ToolError):
    """The modules of the statements cannot even be imported."""


def prepared(runner: Runner) -> Statements:
    """As Postgres knows them. Raises NotPrepared."""
    code, output = runner.program("tools.mutants.running.prepared", _LIMIT)
    last = (output.splitlines() or ["no output"])[-1]
    if code != 0:
        raise NotPrepared(f"the SQL statements cannot be prepared: {last}")
    found: Statements = json.loads(last)
    return found


def are_valid(before: Statements, runner: Runner) -> bool:
    """Whether all are still statements, with the same parameters.

    What is broken would fail whenever it is run: noticing that shows nothing about the tests.
    """
    try:
        return prepared(runner) == before
    except NotPrepared:
        return False
