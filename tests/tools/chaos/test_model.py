"""The protocol's model: its promises hold, and a guard that is taken out is missed."""

from pathlib import Path

import pytest

from tools.model.check import BREAKS, Check, check, guards, missing_tools, without

needs_tools = pytest.mark.skipif(
    bool(missing_tools()), reason=f"not on this machine: {', '.join(missing_tools())} (make model)"
)


def test_of_each_guard_is_said_which_promise_it_keeps() -> None:
    assert guards() == list(BREAKS)


@needs_tools
@pytest.mark.parametrize("commands", [1, 2])
def test_every_promise_holds_with_one_fault(commands: int, tmp_path: Path) -> None:
    assert check(Check(commands=commands, faults=1), tmp_path).violated is None


@needs_tools
@pytest.mark.parametrize("guard", ["CONTAIN_FIRST", "TAKE_UP_OPEN", "LETTER_WITH_OUTCOME"])
def test_a_guard_that_is_taken_out_is_missed(guard: str, tmp_path: Path) -> None:
    assert check(without(guard), tmp_path).violated == BREAKS[guard]
