"""What may change of a run that is over: what it left behind, until that is proved gone."""

from dataclasses import replace

from tests.support.chaos.facts import change, facts, only, run
from tools.chaos.checks import states
from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Row

KEPT: Row = {"number": 1, "kept": True, "proof": None}
GONE: Row = {**KEPT, "ended": "obeyed", "proof": "cgroup_empty"}


def _checked(before: Row | None, after: Row | None) -> Checked:
    passed = run("pass", exit_code=0, left_behind=before)
    later = change(1, 101, passed, {**passed, "left_behind": after})
    return states.check(replace(facts(), run_transitions=[later]))


def test_what_was_kept_may_be_stopped_later() -> None:
    assert not _checked(KEPT, GONE).violations


def test_what_is_proved_gone_does_not_come_back() -> None:
    assert only(_checked(GONE, KEPT)) == "run 7, pass: {'left_behind'} changed"


def test_a_run_that_is_over_leaves_nothing_behind_afterward() -> None:
    assert only(_checked(None, KEPT)) == "run 7, pass: {'left_behind'} changed"
