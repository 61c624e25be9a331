"""Prints hosts as text or JSON."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from asyncpg import Record

from shared.output import (
    print_columns,
    print_facts,
    print_json,
    print_line,
)
from shared.postgres.rows import plain
from worker.hosts.store import Abandoned, Refused
from worker.hosts.wording import action_text, asked, can

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


def print_host(
    host: Record, commands: Sequence[Record], actions: Sequence[Record], *, as_json: bool
) -> None:
    """Print a host with its open commands and its history."""
    described = _described(host)
    if as_json:
        todo = [plain(command) for command in commands]
        history = [plain(action) for action in actions]
        print_json({**plain(described), "open_commands": todo, "actions": history})
        return
    privileges = described.pop("privileges") or {}
    print_facts(
        [
            *(
                (name.replace("_", " "), value)
                for name, value in (described | can(privileges)).items()
                if value is not None and value != []
            ),
            *(("to cancel", asked(command)) for command in commands),
            *((action["action"], action_text(action)) for action in actions),
        ]
    )


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
