"""A plugin of pytest: runs tests in the order of the arguments, and writes down what they took.

`MUTANTS_RESULT` is the file to write to, `MUTANTS_ROOT` where the product must come from.
"""

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

RESULT: Final = "MUTANTS_RESULT"
ROOT: Final = "MUTANTS_ROOT"


class Recorder:
    """What became of the tests of this process."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        order = [config.invocation_params.dir / argument for argument in config.args]

        def rank(item: pytest.Item) -> int:
            return next(
                (number for number, path in enumerate(order) if item.path.is_relative_to(path)),
                len(order),
            )

        items.sort(key=rank)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid.partition("::")[0]] += report.duration
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        result = {"failed": self._failed, "seconds": self._seconds}
        Path(os.environ[RESULT]).write_text(json.dumps(result))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(), "mutants-recorder")


def pytest_sessionstart() -> None:
    """The product that is tested must be the one that was changed."""
    for package in ("gateway", "shared", "worker"):
        place = __import__(package).__file__
        if place is None or not Path(place).is_relative_to(os.environ[ROOT]):
            pytest.exit(f"{package} comes from {place}", returncode=pytest.ExitCode.INTERNAL_ERROR)
