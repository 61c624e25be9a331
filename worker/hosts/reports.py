"""Prints hosts as text or JSON."""

import json
from collections.abc import Iterable
from typing import Any

from asyncpg import Record

from shared.command_line.output import (
    print_columns,
    print_facts,
    print_json,
    print_line,
)
from shared.postgres.rows import plain
from shared.states import CommandState, command_state
from worker.hosts.store import Abandoned, HostDetails, Refused
from worker.hosts.wording import (
    action_text,
    asked,
    can,
    letter_text,
    run_text,
    since,
    waits_for,
)

_COLUMNS = {
    "host": "host",
    "state": "state",
    "last heartbeat": "heard",
    "running": "running",
    "canceling": "canceling",
    "flag": "flag",
}


def print_hosts(hosts: Iterable[Record], *, as_json: bool) -> None:
    rows = [_described(host) for host in hosts]
    if as_json:
        print_json([plain(row) for row in rows])
        return
    for row in rows:
        row["heard"] = _ago(row["seconds_silent"])
    print_columns(_COLUMNS, rows)


def print_host(found: HostDetails, *, as_json: bool) -> None:
    """Print a host with its runs, what waits there, and its history."""
    host = found.host
    described = _described(host)
    if as_json:
        print_json(
            {
                **plain(described),
                "runs": [plain(run) for run in found.runs],
                "open_commands": [_open(command, host) for command in found.commands],
                "dead_letters": [plain(letter) for letter in found.letters],
                "actions": [plain(action) for action in found.actions],
            }
        )
        return
    privileges = described.pop("privileges") or {}
    print_facts(
        [
            *(
                (name.replace("_", " "), value)
                for name, value in (described | can(privileges)).items()
                if value is not None and value != []
            ),
            *(("run", run_text(run)) for run in found.runs),
            *(
                ("to cancel", f"{asked(command)}; {waits_for(command, host)}")
                for command in found.commands
            ),
            *(("dead letter", letter_text(letter)) for letter in found.letters),
            *((action["action"], action_text(action)) for action in found.actions),
        ]
    )


def _open(command: Record, host: Record) -> dict[str, Any]:
    """An open command, its state, and what it waits for, as `runs show --json` has it."""
    state, waiting_for = command_state(command["status"], host["state"]), None
    if state is CommandState.PENDING:
        at = since(host).isoformat()
        waiting_for = {"host": host["host"], "host_state": host["state"], "since": at}
    return {**plain(command), "state": state.value, "waiting_for": waiting_for}


def print_abandoned(name: str, abandoned: Abandoned, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "host": name,
                "already_abandoned": abandoned.already,
                "run_ids": abandoned.run_ids,
                "commands": abandoned.commands,
            }
        )
        return
    print_line(f"host {name} {'was already abandoned' if abandoned.already else 'is abandoned'}")
    for run_id in abandoned.run_ids:
        print_line(f"run {run_id} is recorded as error")
    if abandoned.commands:
        print_line(f"cancel commands that ended as abandoned: {abandoned.commands}")


def why_not_forgotten(name: str, refused: Refused) -> str:
    match refused:
        case Refused.UNKNOWN:
            return f"host {name!r} not found"
        case Refused.UP:
            return f"host {name!r} is up; stop its worker first"
        case Refused.RUNS:
            why = "it has runs that are not over"
        case Refused.UNPROVED:
            why = "it has runs of which processes may be left"
        case Refused.CONTAINERS:
            why = "it has runs whose containers are not removed"
    return (
        f"host {name!r} is not forgotten: {why}. Start its worker, or abandon the host; what an "
        "abandoned host has left goes with `cancel-worker prune`"
    )


def _described(host: Record) -> dict[str, Any]:
    row = dict(host)
    row["privileges"] = json.loads(row["privileges"]) if row["privileges"] else None
    unkillable = row["unkillable"]
    runs = ", ".join(map(str, unkillable))
    return {**row, "flag": f"unkillable: {runs}" if unkillable else None}


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
