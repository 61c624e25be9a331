"""What happened is told: at least once, in order within a run, and nothing else is."""

from collections import defaultdict

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts

_Said = tuple[str, object, object]


def check(facts: Facts) -> Checked:
    checked = Checked("told", "every change has its event, in order, no others")
    happened = _happened(facts)
    told = {_said(event["type"], event["data"]) for event in facts.events}
    for (kind, which, state), at in happened.items():
        checked.hold(
            (kind, which, state) in told, f"{which} became {state}, without an event", (at, at)
        )
    for said in told - happened.keys():
        checked.hold(False, f"event without a change: {said}")
    contents: dict[str, object] = {}
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in facts.events:
        is_same = contents.setdefault(event["id"], event) == event
        checked.hold(is_same, f"event {event['id']} was published with two contents")
        # In order is how they were told first: one that is told again comes late.
        if (number := int(event["sequence"])) not in numbers[event["subject"]]:
            numbers[event["subject"]].append(number)
    for subject, order in numbers.items():
        checked.hold(
            order == sorted(order), f"events of run {subject} were published in the order {order}"
        )
    return checked


def _happened(facts: Facts) -> dict[_Said, float]:
    happened: dict[_Said, float] = {}
    for change in facts.run_transitions:
        before, after = change["before"], change["after"]
        if before and after and after["finished_at"] and not before["finished_at"]:
            happened[_said("ci.run.finished.v1", after)] = change["at"].timestamp()
    for change in facts.command_changes:
        before, after = change["before"], change["after"]
        if after and after["outcome"] and (before or {}).get("outcome") != after["outcome"]:
            happened[_said("ci.cancel.settled.v1", after)] = change["at"].timestamp()
    return happened


def _said(kind: str, data: dict[str, object]) -> _Said:
    if kind == "ci.run.finished.v1":
        return kind, f"run {data['run_id']}", data["status"]
    return kind, f"command {data['command_id']} on run {data['run_id']}", data["outcome"]
