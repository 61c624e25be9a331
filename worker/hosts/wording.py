"""What is on record of a host, in words."""

from collections.abc import Mapping
from typing import Any

from asyncpg import Record

from shared.times import readable_time


def asked(command: Record) -> str:
    who = command["requested_by"] or "an unknown requester"
    why = f": {command['reason']}" if command["reason"] else ""
    of_run = f"run {command['run_id']} ({command['status']})"
    return f"{of_run}, requested by {who} at {readable_time(command['received_at'])}{why}"


def action_text(action: Record) -> str:
    why = f": {action['reason']}" if action["reason"] else ""
    runs = ", ".join(map(str, action["run_ids"])) or "none"
    return f"{readable_time(action['done_at'])} by {action['done_by']}{why} (runs: {runs})"


def can(privileges: Mapping[str, Any]) -> dict[str, str]:
    """The privileges that its worker found at start, in words."""
    if not privileges:
        return {}
    own = f"of user {privileges['uid']}"
    return {
        "containment": {"cgroup": "cgroup", "session": "session, found by scans of /proc"}[
            privileges["containment"]
        ],
        "can signal": f"processes {'of all users' if privileges['signals_all'] else own}",
        "can find": f"processes {'of all users' if privileges['reads_all'] else own}"
        if privileges["lists_all"]
        else "not all processes: /proc is mounted with hidepid",
    }
