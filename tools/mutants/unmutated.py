"""What tests and statements do without any change: the measure of all others."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from tools.errors import ToolError
from tools.mutants.running.statements import Statements, prepared
from tools.mutants.running.tests import Runner

_LIMIT: Final = 900.0
_SLACK: Final = 30.0
"""Seconds: as long as programs under test wait for what does not come."""
_TIMES: Final = 3.0


class FailUnmutated(ToolError):
    """Without any change."""

    def __init__(self, area: str, test: str) -> None:
        super().__init__(f"the tests of {area} fail without any change: {test}")


class Unmutated:
    """Each is run when it is first asked for, by one thread, in a tree without a change."""

    def __init__(self) -> None:
        self._locks: dict[object, threading.Lock] = defaultdict(threading.Lock)
        self._seconds: dict[tuple[str, ...], float] = {}
        self._statements: Statements | None = None

    def limit(self, area: str, tests: Sequence[str], runner: Runner) -> float:
        """After how many seconds these tests are given up with a mutant. Raises FailUnmutated."""
        return _TIMES * self._passed(area, tests, runner) + _SLACK

    def confirm(self, area: str, test: str, runner: Runner) -> None:
        """The file of this test passes without a mutant. Raises FailUnmutated."""
        file = test.partition("::")[0].removeprefix("tests/")
        self._passed(area, [file], runner)

    def _passed(self, area: str, tests: Sequence[str], runner: Runner) -> float:
        key = tuple(tests)
        with self._locks[key]:
            if key not in self._seconds:
                result = runner.run(tests, _LIMIT)
                if result.failed:  # for once, perhaps, on a machine with other work
                    result = runner.run(tests, _LIMIT)
                if result.failed or result.timed_out:
                    raise FailUnmutated(area, result.failed or f"no end after {_LIMIT:.0f} s")
                self._seconds[key] = result.seconds
            return self._seconds[key]

    def statements(self, runner: Runner) -> Statements:
        with self._locks[Statements]:
            if self._statements is None:
                self._statements = prepared(runner)
            return self._statements
