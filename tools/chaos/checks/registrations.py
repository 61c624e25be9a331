"""The registrations that the load attempted, and their options in one form."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts

IS_ON_RECORD: Final = {"created", "exists", "started"}
"""What is told of a run that is on record as asked."""
_DEFAULTS: Final[Mapping[str, Any]] = {
    "grace_seconds": None,
    "stop_signal": "SIGTERM",
    "stop_scope": "tree",
    "leftovers": "stop",
    "labels": {},
    "url": None,
    "start_before": None,
}

Options = dict[str, Any]


def options_of(given: Mapping[str, Any]) -> Options:
    """The options in what was sent, in a row, or in an event, comparable with each other."""
    options = {name: given.get(name, default) for name, default in _DEFAULTS.items()}
    due = options["start_before"]
    if isinstance(due, str):
        options["start_before"] = datetime.fromisoformat(due)
    return options


def attempts_by_run(facts: Facts) -> dict[int, list[Entry]]:
    attempts: dict[int, list[Entry]] = defaultdict(list)
    for entry in facts.entries("registration"):
        attempts[entry["run_id"]].append(entry)
    return attempts


def known_since(facts: Facts) -> dict[int, float]:
    """When the load was first told that a run is on record."""
    since: dict[int, float] = {}
    for entry in facts.entries("registration"):
        if entry["result"] in IS_ON_RECORD:
            since.setdefault(entry["run_id"], entry["at"])
    return since
