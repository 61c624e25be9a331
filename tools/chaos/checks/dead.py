"""P3: `canceled` means dead, and a run that was canceled in the queue never started.

Nor does a run that ended by itself leave anything, unless it was registered to keep it.
"""

from collections import defaultdict
from pathlib import Path

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts, Row
from tools.chaos.observed.processes import is_populated


def check(facts: Facts) -> Checked:
    checked = Checked("P3", "canceled runs are dead and never start")
    marks = {entry["run_id"]: entry["mark"] for entry in facts.entries("run")}
    proofs: dict[int, set[str]] = defaultdict(set)
    for row in facts.cancellations:
        if row["outcome"] == "canceled":
            proofs[row["run_id"]].add(row["evidence"].get("proof"))
    for run_id, run in facts.runs.items():
        if run["expired"]:  # without a command
            proofs[run_id].add(run["proof"])
    for run_id, run in facts.runs.items():
        if run["status"] == "canceled":
            _check_canceled(checked, facts, run, marks[run_id], proofs[run_id])
        elif run["status"] == "error" and run["containment"] == "cgroup":
            # Its launcher was killed: what it left must not go on unseen.
            _check_gone(checked, facts, run, marks[run_id])
        elif run["status"] in ("pass", "fail") and _says_that_it_is_gone(run):
            _check_gone(checked, facts, run, marks[run_id])
        _check_start(checked, facts, run)
    for seen in facts.entries("dead_seen"):
        text = f"run {seen['run_id']} was {seen['status']} while {seen['alive']} lived"
        checked.hold(not seen["alive"], text, (seen["at"] - 1, seen["at"]))
    return checked


def _says_that_it_is_gone(run: Row) -> bool:
    left = run["left_behind"]
    return run["leftovers"] == "stop" if left is None else left.get("proof") is not None


def _check_canceled(checked: Checked, facts: Facts, run: Row, mark: str, proofs: set[str]) -> None:
    name = f"run {run['run_id']}"
    started = run["host"] is not None
    checked.hold(bool(proofs), f"{name} is canceled without a proof", _times(run))
    text = f"{name} has the proof {run['proof']}, but its commands have {proofs}"
    checked.hold(run["proof"] in proofs, text, _times(run))
    text = f"{name}, started: {started}, was proved dead by {proofs}"
    checked.hold(("never_started" in proofs) != started, text, _times(run))
    _check_gone(checked, facts, run, mark)


def _check_gone(checked: Checked, facts: Facts, run: Row, mark: str) -> None:
    launch = str(run["launch_id"]) if run["launch_id"] else None
    left = [
        process.pid
        for process in facts.processes
        if mark in process.words or (launch is not None and process.launch_id == launch)
    ]
    text = f"run {run['run_id']} is {run['status']} and its processes {left} live"
    checked.hold(not left, text, _times(run))
    if run["cgroup"]:
        is_empty = not is_populated(Path(run["cgroup"]))
        checked.hold(is_empty, f"cgroup {run['cgroup']} is not empty", _times(run))


def _check_start(checked: Checked, facts: Facts, run: Row) -> None:
    """The job started at most once, and only as the process that the row knows."""
    file = facts.jobs / f"{run['run_id']}.started"
    starts = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    claimed = [[str(run["pid"]), str(run["launch_id"])]] if run["host"] else []
    text = f"run {run['run_id']} ({run['status']}, claimed {claimed}) started as {starts}"
    checked.hold(starts in ([], claimed), text, _times(run))


def _times(run: Row) -> tuple[float, float]:
    end = run["finished_at"] or run["canceling_at"] or run["created_at"]
    return run["created_at"].timestamp(), end.timestamp()
