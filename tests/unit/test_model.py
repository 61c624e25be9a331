"""The protocol's model: its promises hold, and a guard that is taken out is missed."""

from pathlib import Path

import pytest

from tests.model.check import Check, check, missing_tools

pytestmark = pytest.mark.skipif(
    bool(missing_tools()), reason=f"not on this machine: {', '.join(missing_tools())} (make model)"
)


def test_every_promise_holds_with_one_fault(tmp_path: Path) -> None:
    assert check(Check(commands=1, faults=1), tmp_path).violated is None


def test_without_containment_first_canceled_does_not_mean_dead(tmp_path: Path) -> None:
    result = check(Check(without="CONTAIN_FIRST"), tmp_path)
    assert result.violated == "canceled_means_dead"
