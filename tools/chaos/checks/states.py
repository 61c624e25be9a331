"""P5: terminal is final, and every transition is one of the arrows that there are."""

from typing import Final

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts, Row

TERMINAL: Final = {"pass", "fail", "canceled", "error"}
ARROWS: Final = {
    (None, "queued"),
    ("queued", "canceled"),
    ("queued", "running"),
    ("running", "canceling"),
    ("running", "pass"),
    ("running", "fail"),
    ("running", "error"),
    ("canceling", "canceled"),
}
_MAY_FOLLOW: Final = {"exit_code"}
"""The exit code of a canceled run comes from its launcher, and may be later than the proof."""


def check(facts: Facts) -> Checked:
    checked = Checked("P5", "terminal states are final, only known transitions")
    abandoned = {row["run_id"] for row in facts.cancellations if row["outcome"] == "abandoned"}
    for transition in facts.run_transitions:
        _check_transition(checked, transition, transition["run_id"] in abandoned)
    return checked


def _check_transition(checked: Checked, transition: Row, is_abandoned: bool) -> None:
    before, after = transition["before"], transition["after"]
    at = transition["at"].timestamp()
    name = f"run {transition['run_id']}"
    if after is None:
        checked.hold(False, f"{name} was deleted", (at, at))
        return
    old, new = (before or {}).get("status"), after["status"]
    if old == new:
        changed = {key for key in after if before[key] != after[key]} - _MAY_FOLLOW
        # What was left behind may be stopped later, until it is proved gone.
        if before["left_behind"] and before["left_behind"].get("proof") is None:
            changed -= {"left_behind"}
        # What a later look at a lost run has found may be added to it.
        is_final = old in TERMINAL - {"error"}
        checked.hold(not (is_final and changed), f"{name}, {old}: {changed} changed", (at, at))
        return
    arrows = ARROWS | ({("canceling", "error")} if is_abandoned else set())
    checked.hold((old, new) in arrows, f"{name} went from {old} to {new}", (at, at))
