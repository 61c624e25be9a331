"""A run that did not start in time is canceled as expired, with one event, and never starts."""

from datetime import datetime, timedelta
from typing import Final

from tools.chaos.checks.events.steps import FINISHED
from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts, Row

_CLOCKS: Final = timedelta(seconds=1)
"""What may lie between the look at the clock that allows a start, and its record."""


def check(facts: Facts) -> Checked:
    checked = Checked("late", "runs expire in time, once, and never start")
    finished: dict[int, list[object]] = {}
    for event in {heard.event["id"]: heard.event for heard in facts.events}.values():
        if event["type"] == FINISHED:
            finished.setdefault(int(event["subject"]), []).append(event["data"]["ended"])
    end = max((entry["at"] for entry in facts.entries("settled")), default=None)
    for run_id, run in facts.runs.items():
        if run["expired"]:
            _check_expired(checked, facts, run)
            ended = finished.get(run_id, [])
            text = f"run {run_id} expired, its events run.finished say {ended}"
            checked.hold(ended == ["expired"], text, _times(run))
        elif run["start_before"] is not None:
            _check_in_time(checked, run, end)
    return checked


def _check_expired(checked: Checked, facts: Facts, run: Row) -> None:
    run_id, due = run["run_id"], run["start_before"]
    started = run["host"] is not None or (facts.jobs / f"{run_id}.started").exists()
    checked.hold(not started, f"run {run_id} expired and was started", _times(run))
    text = f"run {run_id} expired and is {run['status']}"
    checked.hold(run["status"] == "canceled", text, _times(run))
    is_early = due is None or run["finished_at"] < due
    checked.hold(not is_early, f"run {run_id} expired before {due}", _times(run))


def _check_in_time(checked: Checked, run: Row, end: float | None) -> None:
    run_id, due = run["run_id"], run["start_before"]
    is_due = end is not None and due.timestamp() < end
    is_left = is_due and run["status"] == "queued"
    checked.hold(not is_left, f"run {run_id} did not expire", _times(run))
    started: datetime | None = run["started_at"]
    is_late = started is not None and started > due + _CLOCKS
    checked.hold(not is_late, f"run {run_id} was started after {due}", _times(run))


def _times(run: Row) -> tuple[float, float]:
    end = run["finished_at"] or run["created_at"]
    return run["created_at"].timestamp(), end.timestamp()
