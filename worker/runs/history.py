"""What is on record of a run, as JSON."""

import json
from typing import Any

from asyncpg import Record

from shared.postgres.rows import plain
from shared.states import CommandState, command_state
from worker.runs.store import RunHistory

Json = dict[str, Any]


def listed(row: Record) -> Json:
    """A run, and in `cancel` the state of its open command."""
    run = dict(row) | _objects(row)
    state = command_state(run["status"], run.pop("host_state"))
    return run | {"cancel": state.value if run.pop("has_open_command") else None}


def as_json(history: RunHistory) -> Json:
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


def _described(run: Record) -> Json:
    """A run, as JSON."""
    return plain(run) | _objects(run)


def _objects(run: Record) -> Json:
    return {
        "loss": json.loads(run["loss"]) if run["loss"] else None,
        "left_behind": json.loads(run["left_behind"]) if run["left_behind"] else None,
        "labels": json.loads(run["labels"]),
    }
