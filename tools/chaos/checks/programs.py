"""The programs survive what happens around them, and meet nothing that they did not expect."""

from datetime import datetime

from tools.chaos.checks.model import Checked
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts, ProgramLog


def check(facts: Facts) -> Checked:
    checked = Checked("programs", "no program fails or ends unexpectedly")
    for end in facts.entries("program_ended"):
        _check_end(checked, end)
    for late in facts.entries("program_not_ready"):
        text = f"{late['name']} #{late['count']} did not become ready after all services were back"
        checked.hold(False, text, (late["at"], late["at"]))
    for hung in facts.entries("program_hung"):
        text = f"{hung['name']} #{hung['count']} did not end after SIGTERM"
        checked.hold(False, text, (hung["at"] - 60, hung["at"]))
    for log in facts.logs:
        _check_log(checked, log)
    return checked


def _check_end(checked: Checked, end: Entry) -> None:
    # Before it is ready there is nothing to finish, and SIGTERM may end a program at once.
    orderly = {0} if end["was_ready"] else {0, -15}
    allowed = {"SIGKILL": {-9}, "SIGTERM": orderly}.get(end["asked"] or "", set())
    asked = end["asked"] or "no signal"
    text = f"{end['name']} #{end['count']} ended with {end['code']} after {asked}"
    checked.hold(end["code"] in allowed, text, (end["at"], end["at"]))


def _check_log(checked: Checked, log: ProgramLog) -> None:
    for event in log.events:
        is_fine = event.get("level") not in ("error", "critical") and "exception" not in event
        checked.hold(is_fine, f"{log.name} logged {_short(event)}", _times(event))
    for line in log.other_lines:
        # All that a program has to say is an event: this is a traceback, or a warning of Python's.
        checked.hold(False, f"{log.name} printed {line}")


def _short(event: Entry) -> str:
    said = {key: value for key, value in event.items() if key != "exception"}
    raised = event.get("exception") or []
    # structlog's form of a traceback: the innermost error is the last frame of the first.
    errors = [f"{e.get('exc_type')}: {e.get('exc_value')}" for e in raised if isinstance(e, dict)]
    return f"{said} {errors}"


def _times(event: Entry) -> tuple[float, float] | None:
    try:
        at = datetime.fromisoformat(event["timestamp"]).timestamp()
    except (KeyError, ValueError):
        return None
    return at, at
