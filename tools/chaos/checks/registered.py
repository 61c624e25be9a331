"""Runs are on record once, as they were asked for first, and what was told of that is true."""

from collections import defaultdict
from datetime import datetime
from typing import Any, Final

from tools.chaos.checks.events.steps import REGISTERED
from tools.chaos.checks.model import Checked
from tools.chaos.checks.registrations import IS_ON_RECORD, Options, attempts_by_run, options_of
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts, Row

_UNSURE: Final = {"unknown", "not_sent", "refused"}
_OF_VALID: Final = IS_ON_RECORD | {"differs", "conflict", "confirmed"}
"""What says that the run is on record, be it as asked or not."""
_NOT_STORED: Final = {"differs", "not_sent", "refused"}
"""What says that it was not this attempt that registered the run."""


def check(facts: Facts) -> Checked:
    checked = Checked("runs", "runs are on record once, as asked for first")
    by_run = attempts_by_run(facts)
    transitions: dict[int, list[Row]] = defaultdict(list)
    for transition in facts.run_transitions:
        transitions[transition["run_id"]].append(transition)
    told: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for heard in facts.events:
        if heard.event["type"] == REGISTERED:
            told[int(heard.event["subject"])].append(heard.event["data"])
    for run_id in facts.runs.keys() | told.keys():
        checked.hold(run_id in by_run, f"run {run_id} is there, and was never asked for")
    for run_id, attempts in by_run.items():
        run, valid = facts.runs.get(run_id), [it for it in attempts if it["is_valid"]]
        for attempt in attempts:
            allowed = _OF_VALID if attempt["is_valid"] else {"invalid", "confirmed"}
            is_possible = attempt["result"] in _UNSURE | allowed
            checked.hold(is_possible, _text(attempt), _times(attempt))
        if run is None:
            for attempt in valid:
                is_lost = attempt["result"] in _OF_VALID
                checked.hold(not is_lost, f"{_text(attempt)}: it is lost", _times(attempt))
            text = f"run {run_id} is not on record, and {len(told[run_id])} events say that it is"
            checked.hold(not told[run_id], text)
        else:
            _check_first(checked, run, valid, transitions[run_id])
            _check_answers(checked, run, valid, transitions[run_id])
            _check_events(checked, run, told[run_id])
    return checked


def _check_first(checked: Checked, run: Row, attempts: list[Entry], transitions: list[Row]) -> None:
    """It was inserted once, with the options of an attempt that may have done so."""
    run_id, created = run["run_id"], run["created_at"].timestamp()
    insertions = [it for it in transitions if it["before"] is None]
    text = f"run {run_id} was inserted {len(insertions)} times"
    checked.hold(len(insertions) == 1, text, (created, created))
    first = options_of(insertions[0]["after"]) if insertions else options_of(run)
    for transition in transitions:
        if transition["after"] is not None:
            now, at = options_of(transition["after"]), transition["at"].timestamp()
            text = f"the options of run {run_id} changed: {_changed(first, now)}"
            checked.hold(now == first, text, (at, at))
    asked = [
        options_of(attempt["options"])
        for attempt in attempts
        if attempt["began"] <= created and attempt["result"] not in _NOT_STORED
    ]
    text = f"run {run_id} is on record as {first}, and was first asked for as {asked}"
    checked.hold(first in asked, text, (created, created))
    news = [attempt for attempt in attempts if attempt["result"] == "created"]
    text = f"run {run_id} was told to be new {len(news)} times"
    checked.hold(len(news) <= 1, text, (created, created))


def _check_answers(
    checked: Checked, run: Row, attempts: list[Entry], transitions: list[Row]
) -> None:
    recorded, created = options_of(run), run["created_at"].timestamp()
    left = min((_time(it) for it in transitions if _leaves_queue(it)), default=None)
    for attempt in attempts:
        result, times = attempt["result"], _times(attempt)
        changed = _changed(recorded, options_of(attempt["options"]))
        had_left = left is not None and left.timestamp() <= attempt["at"]
        text = f"{_text(attempt)}: asked and recorded differ in {changed}, started: {had_left}"
        if result == "created":
            text = f"{text}, created at {created}, asked at {times}"
            checked.hold(not changed and times[0] <= created <= times[1], text, times)
        elif result == "exists":
            checked.hold(not changed, text, times)
        elif result == "started":
            checked.hold(not changed and had_left, text, times)
        elif result == "differs":
            checked.hold(bool(changed), text, times)
        elif result == "conflict":
            checked.hold(bool(changed) or had_left, text, times)


def _check_events(checked: Checked, run: Row, told: list[dict[str, Any]]) -> None:
    run_id, created = run["run_id"], run["created_at"].timestamp()
    text = f"run {run_id} is on record, and no event says so"
    checked.hold(bool(told), text, (created, created))
    for data in told:
        changed = _changed(options_of(run), options_of(data))
        text = f"an event says that run {run_id} is registered otherwise: {changed}"
        checked.hold(not changed and data["run_id"] == run_id, text, (created, created))


def _leaves_queue(transition: Row) -> bool:
    before, after = transition["before"] or {}, transition["after"] or {}
    return bool(before.get("status") == "queued" and after.get("status") != "queued")


def _time(transition: Row) -> datetime:
    at: datetime = transition["at"]
    return at


def _changed(one: Options, other: Options) -> dict[str, tuple[object, object]]:
    return {name: (one[name], other[name]) for name in one if one[name] != other[name]}


def _text(attempt: Entry) -> str:
    return f"registering run {attempt['run_id']} by {attempt['way']} was told {attempt['result']}"


def _times(attempt: Entry) -> tuple[float, float]:
    return attempt["began"], attempt["at"]
