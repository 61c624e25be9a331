"""The reports of one run and of many."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from asyncpg import Record

from shared.output import plain, print_columns, print_json, print_line
from shared.states import (
    CommandState,
    LeftoversPolicy,
    Outcome,
    RunStatus,
    StopScope,
    command_state,
)
from worker.dead_letters.advice import advice
from worker.dead_letters.wanted import LetterState
from worker.runs import timeline, wording
from worker.runs.store import RunHistory

Json = dict[str, Any]

_NAME: Final = 12  # the longest name of a fact
_COLUMNS: Final = {
    "run": "run_id",
    "status": "status",
    "cancel": "cancel",
    "host": "host",
    "exit": "exit_code",
    "created": "created_at",
    "finished": "finished_at",
    "labels": "shown_labels",
}


def print_runs(runs: Iterable[Record], *, as_json: bool) -> None:
    if as_json:
        print_json([plain(_listed(run)) for run in runs])
    else:
        rows = (_listed(run) for run in runs)
        print_columns(_COLUMNS, [row | {"shown_labels": _labels(row)} for row in rows])


def print_run(history: RunHistory, *, as_json: bool) -> None:
    run = _history_as_json(history)
    if as_json:
        print_json(run)
        return
    for line in _lines(run, datetime.now(UTC)):
        print_line(line)


def _listed(row: Record) -> Json:
    """A run, and in `cancel` the state of its open command."""
    run = dict(row) | _objects(row)
    state = command_state(run["status"], run.pop("host_state"))
    return run | {"cancel": state.value if run.pop("has_open_command") else None}


def _described(run: Record) -> Json:
    """A run, as JSON."""
    return plain(run) | _objects(run)


def _objects(run: Record) -> Json:
    return {
        "loss": json.loads(run["loss"]) if run["loss"] else None,
        "left_behind": json.loads(run["left_behind"]) if run["left_behind"] else None,
        "labels": json.loads(run["labels"]),
    }


def _labels(run: Json) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(run["labels"].items()))


def _history_as_json(history: RunHistory) -> Json:
    """A run with its cancellations and dead letters, as JSON."""
    return _described(history.run) | {
        "cancellations": [
            plain(row)
            | {name: json.loads(row[name]) for name in ("evidence", "faults")}
            | _open(row, history.run, history.host)
            for row in history.cancellations
        ],
        "dead_letters": [
            plain(letter)
            | {
                "actions": [
                    plain(action)
                    for action in history.actions
                    if action["letter_id"] == letter["letter_id"]
                ]
            }
            for letter in history.dead_letters
        ],
    }


def _open(command: Record, run: Record, host: Record | None) -> Json:
    """The state of an open command, and what it waits for."""
    if command["outcome"] is not None or host is None:
        return {"state": None, "waiting_for": None}
    state, waiting_for = command_state(run["status"], host["state"]), None
    if state is CommandState.PENDING:
        since = host["since"].isoformat()
        waiting_for = {"host": run["host"], "host_state": host["state"], "since": since}
    return {"state": state, "waiting_for": waiting_for}


def _lines(run: Json, now: datetime) -> Iterator[str]:
    yield f"run {run['run_id']}: {run['status']}"
    for name, fact in _facts(run, now):
        yield f"  {name:<{_NAME}} {fact}"
    yield ""
    yield from _timeline(run)
    for number, command in enumerate(run["cancellations"], 1):
        yield ""
        yield f"  cancel {number}: command {command['command_id']}"
        for name, fact in _facts_of_command(command):
            yield f"    {name:<{_NAME}} {fact}"


def _timeline(run: Json) -> Iterator[str]:
    yield f"  {'UTC':<23}  {'after':>12}  what"
    before: datetime | None = None
    for moment in timeline.moments(run):
        after = "" if before is None else wording.length(moment.at - before)
        at = f"{moment.at:%Y-%m-%d %H:%M:%S}.{moment.at.microsecond // 1000:03d}"
        yield f"  {at}  {after:>12}  {moment.what}"
        before = moment.at


def _facts(run: Json, now: datetime) -> Iterator[tuple[str, str]]:
    lasted = ", ".join(f"{name} {wording.length(time)}" for name, time in timeline.spans(run, now))
    yield "was", lasted if run["finished_at"] else f"{lasted} so far"
    if run["host"] is not None:
        where = f"in cgroup {run['cgroup']}" if run["cgroup"] else "in a session of its own"
        launcher = f"started by launcher {run['launcher_pid']}"
        yield "ran on", f"{run['host']}, pid {run['pid']} {launcher}, user {run['uid']}, {where}"
    if run["exit_code"] is not None:
        yield "exit code", wording.exit_code(run["exit_code"])
    if run["status"] == RunStatus.CANCELED:
        yield "proof", run["proof"]
    if run["error"] is not None:
        yield "error", run["error"]
    if (lost := timeline.loss(run)) is not None:
        yield "lost", lost
    if (left := timeline.left_behind(run)) is not None:
        yield "left behind", left
    for record in (run["left_behind"], run["loss"]):
        for container in timeline.containers(record or {}):
            yield "container", container
    if run["start_before"] is not None and not run["expired"]:
        yield "start before", wording.second(run["start_before"])
    if run["labels"]:
        yield "labels", _labels(run)
    if run["url"] is not None:
        yield "url", run["url"]
    alone = run["stop_scope"] == StopScope.LEADER
    if run["grace_seconds"] is not None or run["stop_signal"] != "SIGTERM" or alone:
        own = run["grace_seconds"]
        grace = "the default grace period" if own is None else f"a grace period of {own:g} s"
        to = " to the leader alone" if alone else ""
        yield "stop by", f"{run['stop_signal']}{to}, {grace}"
    if run["leftovers"] == LeftoversPolicy.KEEP:
        yield "leftovers", "kept"
    yield from _what_to_do(run)


def _what_to_do(run: Json) -> Iterator[tuple[str, str]]:
    failed = [row for row in run["cancellations"] if row["outcome"] == Outcome.STOP_FAILED]
    is_open = any(row["outcome"] is None for row in run["cancellations"])
    if run["status"] == RunStatus.CANCELING and failed and not is_open:
        left = timeline.remains(failed[-1]["evidence"])
        yield "alive", f"{left}; a new cancel or a replay takes the stop up again"
    if run["status"] == RunStatus.RUNNING and run["unreported_since"] is not None:
        yield (
            "launcher",
            f"pid {run['launcher_pid']} has not reported the exit code yet; if it is "
            "suspended (state T in ps), continue it with kill -CONT, or cancel the run",
        )
    for letter in run["dead_letters"]:
        if letter["state"] == LetterState.WAITING:
            what = advice(letter, run)
            yield "dead letter", f"{letter['letter_id']} ({letter['reason']}): {what}"


def _facts_of_command(command: Json) -> Iterator[tuple[str, str]]:
    yield "requested by", timeline.asked(command)
    if command["requested_at"] is not None:
        asked = datetime.fromisoformat(command["requested_at"])
        waited = datetime.fromisoformat(command["received_at"]) - asked
        by_its_clock = f"{asked.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC by the requester's clock"
        if waited.total_seconds() >= 0:
            by_its_clock += f", {wording.length(waited)} before a worker received it"
        yield "requested at", by_its_clock
    for field, fault in command["faults"].items():
        yield "fault", f"{field}: {fault}"
    outcome = timeline.answered(command)
    if command["finished_at"] is not None:
        received = datetime.fromisoformat(command["received_at"])
        took = datetime.fromisoformat(command["finished_at"]) - received
        outcome += f" (after {wording.length(took)})"
    yield "outcome", outcome
    evidence = command["evidence"]
    for container in timeline.containers(evidence):
        yield "container", container
    if left := evidence.get("escaped"):
        yield "escaped", f"{wording.processes(left)} (found outside the cgroup)"
    if earlier := evidence.get("earlier"):
        yield "earlier", f"{timeline.remains(earlier)}, in an earlier stop"
