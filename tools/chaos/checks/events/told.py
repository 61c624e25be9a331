"""What happened is told: at least once, truly, under one id, in order in a run. Nothing else is."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import Any

from tools.chaos.checks.events.steps import Key, Step, key_of, steps
from tools.chaos.checks.model import Checked
from tools.chaos.observed.event_queue import Heard
from tools.chaos.observed.facts import Facts

_Told = tuple[Step, Heard]


def check(facts: Facts) -> Checked:
    checked = Checked("told", "each step has its event, in order, no others")
    first = _first_deliveries(checked, facts.events)
    told = list(_matched(checked, steps(facts), first))
    for step, heard in told:
        _check_data(checked, step, heard)
    known = [(step, heard) for step, heard in told if step.run_id in facts.runs]
    of_run: dict[int, list[_Told]] = defaultdict(list)
    for each in known:
        of_run[each[0].run_id].append(each)
    for run_id, those in of_run.items():
        _check_sequence(checked, run_id, those)
    _check_deliveries(checked, first, {str(run_id) for run_id in facts.runs})
    return checked


def _first_deliveries(checked: Checked, events: Sequence[Heard]) -> list[Heard]:
    """Each event once, in the order in which they came. A repeat must be the same message."""
    first: dict[str, Heard] = {}
    for heard in events:
        is_same = first.setdefault(heard.event["id"], heard) == heard
        checked.hold(is_same, f"event {heard.event['id']} was published with two contents")
    return list(first.values())


def _matched(checked: Checked, recorded: Sequence[Step], first: Sequence[Heard]) -> Iterator[_Told]:
    """Steps and their events, in pairs. A step may come again, as a stop that failed twice."""
    happened: dict[Key, list[Step]] = defaultdict(list)
    told: dict[Key, list[Heard]] = defaultdict(list)
    for step in recorded:
        happened[step.key].append(step)
    for heard in sorted(first, key=lambda it: it.sequence):
        told[key_of(heard.event["type"], heard.event["data"])].append(heard)
    for key in happened.keys() | told.keys():
        kind, which, state = key
        for step, event in zip_longest(happened[key], told[key]):
            if step is None:
                again = f" once more than the {len(happened[key])} on record"
                text = f"event {event.event['id']} tells {kind}, {which}, {state},"
                checked.hold(False, text + (again if happened[key] else " which is not on record"))
            elif event is None:
                times = (step.at, step.at)
                checked.hold(False, f"{which} became {state}: no event {kind}", times)
            else:
                checked.hold(True, "")
                yield step, event


def _check_data(checked: Checked, step: Step, heard: Heard) -> None:
    event = heard.event
    said: dict[str, Any] = event["data"]
    wrong = {
        name: (said.get(name, "nothing"), value)
        for name, value in step.data.items()
        if name not in said or said[name] != value
    }
    name = f"event {event['id']} ({step.kind}, {step.key[1]})"
    times = (step.at, step.at)
    checked.hold(not wrong, f"{name} says other than the record: {wrong}", times)
    subject, key = event.get("subject"), heard.routing_key
    about = {str(step.run_id)} if step.run_id else {None, "0"}
    is_addressed = subject in about and key == step.kind.removeprefix("ci.").removesuffix(".v1")
    checked.hold(is_addressed, f"{name} has the subject {subject} and the key {key}", times)


def _check_sequence(checked: Checked, run_id: int, told: Sequence[_Told]) -> None:
    """Later transactions have higher numbers, and so have later steps within one transaction."""
    transactions: dict[int, list[_Told]] = defaultdict(list)
    for each in sorted(told, key=lambda each: each[0].place):
        transactions[each[0].transaction].append(each)
    highest = 0
    for those in transactions.values():
        numbers = [heard.sequence for _, heard in those]
        kinds = [step.kind for step, _ in those]
        times = (those[0][0].at, those[-1][0].at)
        text = f"run {run_id}: {kinds} have the sequence {numbers} after {highest}"
        checked.hold(min(numbers) > highest, text, times)
        highest = max(highest, *numbers)
        # The statements of a transaction write their events, and the audit trail, in parts: only
        # those about the same thing have an order.
        of_one: dict[str, list[int]] = defaultdict(list)
        for step, heard in those:
            of_one[step.key[1]].append(heard.sequence)
        for which, order in of_one.items():
            is_rising = all(a < b for a, b in pairwise(order))
            checked.hold(is_rising, f"{which}: its steps have the sequence {order}", times)


def _check_deliveries(checked: Checked, first: Sequence[Heard], runs: set[str]) -> None:
    numbers: dict[str, list[int]] = defaultdict(list)
    for heard in first:
        numbers[heard.event.get("subject", "")].append(heard.sequence)
    # Nothing orders the rejections of messages for runs that do not exist.
    for subject in numbers.keys() & runs:
        order = numbers[subject]
        text = f"events of run {subject} were published first in the order {order}"
        checked.hold(order == sorted(set(order)), text)
