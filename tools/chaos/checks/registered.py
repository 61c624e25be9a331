"""Runs are registered once and as asked for; one that expired never starts."""

from datetime import datetime, timedelta
from typing import Final

from tools.chaos.checks.events.steps import FINISHED
from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts, Row

_CLOCKS: Final = timedelta(seconds=1)
"""What may lie between the look at the clock that allows a start, and its record."""


def check(facts: Facts) -> Checked:
    checked = Checked("runs", "runs are as registered; expired ones never start")
    for entry in facts.entries("run"):
        run_id, run = entry["run_id"], facts.runs.get(entry["run_id"])
        checked.hold(run is not None, f"run {run_id} was registered and is not on record")
        if run is not None:
            asked = (entry["labels"], _time(entry["start_before"]))
            recorded = (run["labels"], run["start_before"])
            checked.hold(asked == recorded, f"run {run_id}: {asked} is on record as {recorded}")
            _check_expiry(checked, facts, run)
    for entry in facts.entries("registered"):
        text = f"registering run {entry['run_id']} {entry['how']} resulted in {entry['result']}"
        checked.hold(entry["result"] in entry["allowed"], text, (entry["at"], entry["at"]))
    finished: dict[int, list[object]] = {}
    for event in {heard.event["id"]: heard.event for heard in facts.events}.values():
        if event["type"] == FINISHED:
            finished.setdefault(int(event["subject"]), []).append(event["data"]["ended"])
    for run_id, run in facts.runs.items():
        if run["expired"]:
            ended = finished.get(run_id, [])
            text = f"run {run_id} expired, its events run.finished say {ended}"
            checked.hold(ended == ["expired"], text, _times(run))
    return checked


def _check_expiry(checked: Checked, facts: Facts, run: Row) -> None:
    run_id, due = run["run_id"], run["start_before"]
    if run["expired"]:
        started = run["host"] is not None or (facts.jobs / f"{run_id}.started").exists()
        checked.hold(not started, f"run {run_id} expired and was started", _times(run))
        is_early = due is None or run["finished_at"] < due
        checked.hold(not is_early, f"run {run_id} expired before {due}", _times(run))
    elif due is not None:
        checked.hold(run["status"] != "queued", f"run {run_id} did not expire", _times(run))
        late = run["started_at"] is not None and run["started_at"] > due + _CLOCKS
        checked.hold(not late, f"run {run_id} was started after {due}", _times(run))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _times(run: Row) -> tuple[float, float]:
    end = run["finished_at"] or run["created_at"]
    return run["created_at"].timestamp(), end.timestamp()
