"""Hosts as people and programs want to see them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asyncpg import Record
from rich.table import Table

from shared.output import plain, print_columns, print_json, print_table
from worker.host_store import Abandoned

_COLUMNS = {
    "host": "host",
    "state": "state",
    "heard of": "heard",
    "running": "running",
    "canceling": "canceling",
    "flag": "flag",
}


def print_hosts(hosts: Iterable[Record], *, as_json: bool) -> None:
    rows = [_described(host) for host in hosts]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        row["heard"] = _ago(row["seconds_silent"])
    print_columns(_COLUMNS, rows)


def print_host(
    host: Record, commands: Sequence[Record], actions: Sequence[Record], *, as_json: bool
) -> None:
    """A host with the commands that it has yet to carry out, and all that became of it."""
    described, history = _described(host), [plain(action) for action in actions]
    todo = [plain(command) for command in commands]
    if as_json:
        print_json({**described, "open_commands": todo, "actions": history})
        return
    table = Table("", "", show_header=False, box=None)
    privileges = described.pop("privileges") or {}
    for name, value in (described | _can(privileges)).items():
        if value is not None and value != []:
            table.add_row(name, str(value))
    for command in todo:
        who = command["requested_by"] or "somebody unnamed"
        because = f": {command['reason']}" if command["reason"] else ""
        table.add_row(
            "to cancel",
            f"run {command['run_id']} ({command['status']}), asked for by {who} at "
            f"{command['received_at']}{because}",
        )
    for action in history:
        why = f": {action['reason']}" if action["reason"] else ""
        runs = ", ".join(map(str, action["run_ids"])) or "none"
        table.add_row(
            action["action"], f"{action['done_at']} by {action['done_by']}{why} (runs: {runs})"
        )
    print_table(table)


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
    print(f"host {name} {'was abandoned already' if abandoned.already else 'is abandoned'}")
    for run_id in abandoned.run_ids:
        print(f"run {run_id} is recorded as error")
    if abandoned.commands:
        print(f"{abandoned.commands} cancel command(s) answered: abandoned")


def _described(host: Record) -> dict[str, Any]:
    row = plain(host)
    row["privileges"] = json.loads(row["privileges"]) if row["privileges"] else None
    unkillable = row["unkillable"]
    runs = ", ".join(map(str, unkillable))
    return {**row, "flag": f"unkillable: {runs}" if unkillable else None}


def _can(privileges: Mapping[str, Any]) -> dict[str, str]:
    """What its worker found out at start, in words."""
    if not privileges:
        return {}
    own = f"of user {privileges['uid']}"
    return {
        "holds runs by": {"cgroup": "cgroup", "session": "session, found by scans of /proc"}[
            privileges["containment"]
        ],
        "can signal": f"processes {'of all users' if privileges['signals_all'] else own}",
        "can find": f"processes {'of all users' if privileges['reads_all'] else own}"
        if privileges["lists_all"]
        else "not all processes: /proc is mounted with hidepid",
    }


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
