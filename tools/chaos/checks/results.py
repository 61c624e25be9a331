"""What is recorded of a run that was not canceled is what its job really did."""

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts, Row


def check(facts: Facts) -> Checked:
    checked = Checked("results", "pass, fail and error match what happened")
    launcher_killed = {entry["run_id"] for entry in facts.entries("launcher_killed")}
    launchers = {entry["run_id"]: entry["code"] for entry in facts.entries("launcher_ended")}
    for run_id, run in facts.runs.items():
        result = _result(facts, run_id)
        if run["status"] in ("pass", "fail"):
            text = f"{_name(run)} has exit code {run['exit_code']}, its job ended with {result}"
            checked.hold(run["exit_code"] == result, text, _times(run))
        elif run["status"] == "error":
            # It may also have given up where the answer to its claim did not come for 30 s.
            is_lost = run_id in launcher_killed or launchers.get(run_id) == 125
            text = f"{_name(run)}, but its launcher was not killed and ended with"
            checked.hold(is_lost, f"{text} {launchers.get(run_id)}", _times(run))
        if run_id in launchers and run_id not in launcher_killed:
            _check_launcher(checked, run, launchers[run_id], result)
    return checked


def _check_launcher(checked: Checked, run: Row, code: int, result: int | None) -> None:
    """A launcher that lived to tell says what its job did."""
    if run["status"] in ("pass", "fail"):
        text = f"{_name(run)}, its launcher said {code}, its job {result}"
        checked.hold(code == result, text, _times(run))
    elif run["status"] == "queued":
        checked.hold(code == 125, f"{_name(run)}, its launcher said {code}", _times(run))
    else:
        checked.hold(code != 0, f"{_name(run)}, its launcher said {code}", _times(run))


def _result(facts: Facts, run_id: int) -> int | None:
    file = facts.jobs / f"{run_id}.result"
    text = file.read_text() if file.exists() else ""
    return int(text) if text else None


def _name(run: Row) -> str:
    return f"run {run['run_id']} is {run['status']}"


def _times(run: Row) -> tuple[float, float]:
    end = run["finished_at"] or run["created_at"]
    return run["created_at"].timestamp(), end.timestamp()
