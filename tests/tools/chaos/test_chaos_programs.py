"""The checker of programs: whatever they say is an event, and no error."""

from tests.support.chaos.facts import facts, only
from tools.chaos.checks import programs
from tools.chaos.observed.facts import ProgramLog

READY = {"event": "worker_ready", "level": "info"}


def test_a_program_that_logs_events_is_no_violation() -> None:
    checked = programs.check(facts(logs=[ProgramLog("worker-a", [READY], [])]))
    assert (checked.violations, checked.count > 0) == ([], True)


def test_a_warning_of_pythons_is_one() -> None:
    warning = "RuntimeWarning: coroutine 'Connection.close' was never awaited"
    checked = programs.check(facts(logs=[ProgramLog("worker-a", [READY], [warning])]))
    assert only(checked) == f"worker-a printed {warning}"
