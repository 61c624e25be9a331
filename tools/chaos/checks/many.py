"""Cancels of many runs at once: each has its own command, and no other run is canceled."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from tools.chaos.checks.model import Checked
from tools.chaos.checks.registrations import known_since
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts, Row

_SENT: Final = {"accepted", "no_op"}


@dataclass(frozen=True, slots=True)
class Command:
    command_id: str
    run_id: int
    key: str
    messages: tuple[int, int]
    """At least and at most so many are in the broker, however often it was asked for."""
    times: tuple[float, float]


def commands(facts: Facts) -> list[Command]:
    """All that may have been published."""
    by_key: dict[str, list[Entry]] = defaultdict(list)
    for entry in facts.entries("bulk"):
        by_key[entry["key"]].append(entry)
    return [
        command for key, attempts in by_key.items() for command in _of_key(facts, key, attempts)
    ]


def check(facts: Facts) -> Checked:
    checked = Checked("many", "cancels of many runs are for those asked for")
    for entry in facts.entries("bulk"):
        text = f"cancels {entry['key']} were answered {entry['status']}: {entry['error']}"
        times = (entry["began"], entry["at"])
        checked.hold(entry["status"] in (202, 503, None), text, times)
        if entry["status"] == 202:
            _check_results(checked, facts, entry)
    return checked


def _of_key(facts: Facts, key: str, attempts: list[Entry]) -> Iterator[Command]:
    told: dict[int, set[str]] = defaultdict(set)
    for attempt in attempts:
        for result in attempt["results"]:
            told[result["run_id"]].add(result["status"])
    is_unsure = any(attempt["status"] != 202 for attempt in attempts)
    unsure = set(_candidates(attempts[0]["asked"], facts)) if is_unsure else set()
    times = (attempts[0]["began"], attempts[-1]["at"])
    for run_id in told.keys() | unsure:
        least = 1 if told[run_id] & _SENT else 0
        most = 1 if run_id in unsure or told[run_id] - {"not_found"} else 0
        yield Command(_command_id(key, run_id), run_id, key, (least, most), times)


def _candidates(asked: Mapping[str, Any], facts: Facts) -> Collection[int]:
    if "run_ids" in asked:
        return list(asked["run_ids"])
    return [run_id for run_id, run in facts.runs.items() if _is_asked_for(asked, run)]


def _check_results(checked: Checked, facts: Facts, entry: Entry) -> None:
    key, asked, results = entry["key"], entry["asked"], entry["results"]
    times = (entry["began"], entry["at"])
    run_ids = [result["run_id"] for result in results]
    if "run_ids" in asked:
        text = f"cancels {key} for runs {asked['run_ids']} were answered for {run_ids}"
        checked.hold(run_ids == asked["run_ids"], text, times)
    else:
        wrong = [it for it in run_ids if not _is_asked_for(asked, facts.runs.get(it))]
        text = f"cancels {key} for {asked['labels']} below {asked['before_run']} include {wrong}"
        checked.hold(not wrong, text, times)
        left = _left(facts, entry) - set(run_ids) if entry["matched"] == len(results) else set()
        checked.hold(not left, f"cancels {key} for {asked['labels']} leave {left}", times)
    for result in results:
        run_id, status = result["run_id"], result["status"]
        is_known = status != "not_found"
        wanted = _command_id(key, run_id) if is_known else None
        text = f"cancels {key}: the command for run {run_id} is {result['command_id']}"
        checked.hold(result["command_id"] == wanted, text, times)
        text = f"cancels {key}: run {run_id}, on record: {run_id in facts.runs}, is {status}"
        checked.hold(run_id in facts.runs or not is_known, text, times)


def _left(facts: Facts, entry: Entry) -> set[int]:
    """Runs that were asked for, and were queued from before the request until the end."""
    since = known_since(facts)
    return {
        run_id
        for run_id, run in facts.runs.items()
        if run["status"] == "queued"
        and since.get(run_id, entry["began"]) < entry["began"]
        and _is_asked_for(entry["asked"], run)
    }


def _is_asked_for(asked: Mapping[str, Any], run: Row | None) -> bool:
    return (
        run is not None
        and run["run_id"] < asked["before_run"]
        and asked["labels"].items() <= run["labels"].items()
    )


def _command_id(key: str, run_id: int) -> str:
    return str(uuid5(UUID(key), str(run_id)))
