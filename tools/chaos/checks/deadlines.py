"""P6: a grace period is one deadline: it never moves later, and no process is killed before it."""

from datetime import datetime
from typing import Any, Final

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts, Row

_CLOCKS: Final = 0.05
"""Seconds by which two readings of one clock, in two programs, may seem out of order."""


def check(facts: Facts) -> Checked:
    checked = Checked("P6", "the deadline never moves later, no earlier kill")
    for transition in facts.run_transitions:
        before, after = transition["before"] or {}, transition["after"] or {}
        old, new = _time(before.get("stop_deadline")), _time(after.get("stop_deadline"))
        if old is not None and old != new:
            at = transition["at"].timestamp()
            text = f"run {transition['run_id']}: the deadline moved from {old} to {new}"
            checked.hold(new is not None and new < old, text, (at, at))
    # Force ends a grace period; where the database was away, before it could be recorded.
    sent = [*facts.entries("publish"), *facts.entries("request")]
    forced = {entry["run_id"] for entry in sent if entry.get("force")}
    for row in facts.cancellations:
        run = facts.runs.get(row["run_id"])
        if run is not None and run["stop_deadline"] and row["run_id"] not in forced:
            _check_kill(checked, run, row)
    return checked


def _check_kill(checked: Checked, run: Row, row: Row) -> None:
    for at in _kills(row["evidence"]):
        early = (run["stop_deadline"] - at).total_seconds()
        text = f"run {run['run_id']} was killed {early:.3f} s before its deadline"
        times = (run["canceling_at"].timestamp(), at.timestamp())
        checked.hold(early < _CLOCKS, text, times)


def _kills(evidence: dict[str, Any]) -> list[datetime]:
    sent = evidence.get("signals") or []
    return [datetime.fromisoformat(s["at"]) for s in sent if s["signal"] == "SIGKILL"]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
