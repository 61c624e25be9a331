"""What has to be told: each step on record, with the data that its event must have.

Taken from the audit trail alone, not from the outbox.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tools.chaos.observed.facts import Facts, Row, registers

Key = tuple[str, str, object]
"""Type, run, command or letter, and its new state."""

REGISTERED: Final = "ci.run.registered.v1"
STARTED: Final = "ci.run.started.v1"
CANCELING: Final = "ci.run.canceling.v1"
FINISHED: Final = "ci.run.finished.v1"
SETTLED: Final = "ci.cancel.settled.v1"
REJECTED: Final = "ci.cancel.rejected.v1"
RUN_REJECTED: Final = "ci.run.rejected.v1"

_RUN_DATA: Final = {
    REGISTERED: (
        *("run_id", "labels", "url"),
        *("grace_seconds", "stop_signal", "stop_scope", "leftovers", "start_before"),
    ),
    STARTED: ("run_id", "host"),
    CANCELING: ("run_id", "host", "stop_deadline"),
    FINISHED: ("run_id", "status", "exit_code", "error", "proof", "labels", "url"),
}
_KINDS: Final = {"queued": REGISTERED, "running": STARTED, "canceling": CANCELING}
"""By status; of all others, the event is FINISHED."""
_STATES: Final = {kind: status for status, kind in _KINDS.items()}
_COMMAND_DATA: Final = (
    *("run_id", "command_id", "outcome", "requested_by", "reason"),
    *("via", "publisher", "force"),
)
_EVIDENCE_DATA: Final = ("ended", "proof", "duration_ms")
_LETTER_DATA: Final = (
    *("letter_id", "run_id", "command_id", "reason", "error"),
    *("requested_by", "via", "publisher"),
)


@dataclass(frozen=True, slots=True)
class Step:
    kind: str
    key: Key
    run_id: int
    """0 where a message names none."""
    data: dict[str, Any]
    place: int
    """Its place in the audit trail. Those of one run are written under the lock of its row."""
    transaction: int
    at: float


def key_of(kind: str, data: dict[str, Any]) -> Key:
    """What an event is about, as it says itself."""
    if kind in (REJECTED, RUN_REJECTED):
        return kind, f"letter {data.get('letter_id')}", data.get("reason")
    if kind == SETTLED:
        which = f"command {data.get('command_id')} on run {data.get('run_id')}"
        return kind, which, data.get("outcome")
    return kind, f"run {data.get('run_id')}", _STATES.get(kind, data.get("status"))


def steps(facts: Facts) -> list[Step]:
    """All steps, in the order of the audit trail."""
    found = [*_of_runs(facts), *_of_commands(facts), *_of_letters(facts)]
    return sorted(found, key=lambda step: step.place)


def _of_runs(facts: Facts) -> Iterator[Step]:
    ended = _ended_by_commands(facts)
    for change in facts.run_transitions:
        before, after = change["before"] or {}, change["after"]
        if after is None or after["status"] == before.get("status"):
            continue
        kind = _KINDS.get(after["status"], FINISHED)
        data = {name: after[name] for name in _RUN_DATA[kind]}
        if kind == FINISHED:
            data["ended"] = _how_ended(after, ended.get(after["run_id"]))
            data["left_behind"] = _left_behind(after)
        yield _step(kind, data, change)


def _ended_by_commands(facts: Facts) -> dict[int, object]:
    """How the runs ended that a command canceled, as the first such command has it."""
    first: dict[int, tuple[datetime, str, object]] = {}
    for change in facts.command_changes:
        after = change["after"]
        if after and after["outcome"] == "canceled":
            said = (
                datetime.fromisoformat(after["received_at"]),
                after["command_id"],
                after["evidence"].get("ended"),
            )
            known = first.get(after["run_id"], said)
            first[after["run_id"]] = min(known, said, key=lambda it: it[:2])
    return {run_id: ended for run_id, (_, _, ended) in first.items()}


def _how_ended(run: Row, by_command: object) -> object:
    if run["status"] == "canceled":
        return "expired" if run["expired"] else by_command
    if run["status"] == "error":
        return (run["loss"] or {}).get("cause") or "launcher_died"
    return "exited"


def _left_behind(run: Row) -> object:
    if run["status"] not in ("pass", "fail") or run["left_behind"] is None:
        return None
    left = run["left_behind"]
    return {
        **{name: left.get(name) for name in ("number", "ended", "proof")},
        "containers": left.get("containers_number"),
    }


def _of_commands(facts: Facts) -> Iterator[Step]:
    for change in facts.command_changes:
        before, after = change["before"] or {}, change["after"]
        if after and after["outcome"] and after["outcome"] != before.get("outcome"):
            data = {name: after[name] for name in _COMMAND_DATA}
            data |= {name: after["evidence"].get(name) for name in _EVIDENCE_DATA}
            data["containers"] = len(after["evidence"].get("containers", ()))
            yield _step(SETTLED, data, change)


def _of_letters(facts: Facts) -> Iterator[Step]:
    for change in facts.letter_changes:
        letter = change["after"]
        data = {name: letter[name] for name in _LETTER_DATA}
        yield _step(RUN_REJECTED if registers(letter) else REJECTED, data, change)


def _step(kind: str, data: dict[str, Any], change: Row) -> Step:
    return Step(
        kind,
        key_of(kind, data),
        data["run_id"] or 0,
        data,
        change["place"],
        change["transaction"],
        change["at"].timestamp(),
    )
