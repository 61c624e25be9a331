"""docs/logs.md names every event that is logged, with its level and its fields."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "logs.md"
LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
# A traceback, which is no field.
NOT_FIELDS = {"exc_info"}
# How fields that most lines have in common get there.
SPREAD = {
    "log_fields(request)": {"run_id", "command_id", "correlation_id"},
    "log_fields": {"run_id", "command_id", "correlation_id", "faults", "trace_id"},
    "_summary(run_id, evidence)": {"run_id", "ended", "duration_ms"},
    "fields": {"method", "path", "status", "client", "ms", "subject", "request_id"}
    | {"run_id", "command_id", "correlation_id"},
}


@dataclass
class Event:
    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for package in ("gateway", "worker", "shared"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level)) if (
                        level in LEVELS
                    ):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", node


@cache
def _logged() -> dict[str, Event]:
    found: dict[str, Event] = defaultdict(Event)
    for place, call in _calls():
        assert isinstance(call.func, ast.Attribute)
        name = call.args[0]
        assert isinstance(name, ast.Constant), f"{place}: an event's name must be written out"
        event = found[str(name.value)]
        event.levels.add("error" if call.func.attr == "exception" else call.func.attr)
        for keyword in call.keywords:
            if keyword.arg is not None:
                event.fields.add(keyword.arg)
            else:
                spread = ast.unparse(keyword.value)
                assert spread in SPREAD, f"{place}: which fields are in {spread}?"
                event.fields |= SPREAD[spread]
        event.fields -= NOT_FIELDS
    return found


@cache
def _documented() -> dict[str, Event]:
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|.*\|$", DOCUMENT.read_text(), re.M)
    assert len({name for name, _, _ in rows}) == len(rows)
    return {
        name: Event(set(re.findall(r"\w+", levels)), set(re.findall(r"`(\w+)`", fields)))
        for name, levels, fields in rows
    }


def test_every_event_is_documented_and_no_other() -> None:
    assert sorted(_documented()) == sorted(_logged())


@pytest.mark.parametrize("name", sorted(_logged()))
def test_an_event_has_the_level_and_the_fields_that_are_documented(name: str) -> None:
    assert _documented()[name] == _logged()[name]


def test_the_events_are_in_alphabetical_order() -> None:
    assert list(_documented()) == sorted(_documented())
