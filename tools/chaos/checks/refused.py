"""A refused registration is not on record; its message is a dead letter, and told as such."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from tools.chaos.checks.events.steps import RUN_REJECTED
from tools.chaos.checks.model import Checked
from tools.chaos.checks.registrations import options_of
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts, Row, registers

_CONFLICT: Final = "run_conflict"
_MALFORMED: Final = "malformed"
_MESSAGE: Final = "message"


def check(facts: Facts) -> Checked:
    checked = Checked("refused", "refused registrations are dead letters, no runs")
    messages: dict[str, list[Entry]] = defaultdict(list)
    for entry in facts.entries("registration"):
        if entry["way"] == _MESSAGE:
            messages[_content(entry["run_id"], entry["options"])].append(entry)
        if not entry["is_valid"]:
            text = f"run {entry['run_id']} is on record, and was asked for in no valid way"
            checked.hold(entry["run_id"] not in facts.runs, text, _times([entry]))
    letters: dict[str, list[Row]] = defaultdict(list)
    for letter in filter(registers, facts.letters):
        body = json.loads(letter["body"])
        letters[_content(body.pop("run_id"), body)].append(letter)
    for content, entries in messages.items():
        reasons = [letter["reason"] for letter in letters[content]]
        _check_message(checked, facts, entries, reasons)
    for content in letters.keys() - messages.keys():
        checked.hold(False, f"a registration is dead that the load did not send: {content}")
    _check_events(checked, facts)
    return checked


def _check_message(
    checked: Checked, facts: Facts, entries: list[Entry], reasons: list[str]
) -> None:
    """All that was published with one content: a conflict is one letter, however often."""
    run_id, results = entries[0]["run_id"], {entry["result"] for entry in entries}
    run = facts.runs.get(run_id)
    name = f"registration {entries[0]['options']} of run {run_id} (published: {sorted(results)})"
    is_sent = bool(results & {"confirmed", "unknown"})
    wanted: str | None = None
    if not entries[0]["is_valid"]:
        wanted = _MALFORMED
    elif run is not None and options_of(run) != options_of(entries[0]["options"]):
        wanted = _CONFLICT
    text = f"{name} is dead as {reasons}, expected {wanted}"
    checked.hold(set(reasons) <= ({wanted} if is_sent else set()), text, _times(entries))
    if wanted is not None and "confirmed" in results:
        checked.hold(bool(reasons), f"{name} is no dead letter, expected {wanted}", _times(entries))
    if wanted != _MALFORMED:  # which each delivery is by itself
        text = f"{name} has {len(reasons)} dead letters"
        checked.hold(len(reasons) <= 1, text, _times(entries))


def _check_events(checked: Checked, facts: Facts) -> None:
    told: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for heard in facts.events:
        if heard.event["type"] == RUN_REJECTED:
            data = heard.event["data"]
            told[data["letter_id"]].add((heard.event["id"], data["reason"]))
    for letter in filter(registers, facts.letters):
        reasons = [reason for _, reason in told[letter["letter_id"]]]
        text = f"letter {letter['letter_id']} is {letter['reason']}, its events say {reasons}"
        checked.hold(reasons == [letter["reason"]], text)
    unknown = told.keys() - {it["letter_id"] for it in facts.letters if registers(it)}
    checked.hold(not unknown, f"registrations are told to be dead, and are not: {unknown}")


def _content(run_id: int, options: Mapping[str, Any]) -> str:
    return json.dumps([run_id, options], sort_keys=True)


def _times(entries: list[Entry]) -> tuple[float, float]:
    return entries[0]["began"], entries[-1]["at"]
