"""What is on record of a host, in words."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from asyncpg import Record

from shared.states import CommandState, HostState, RunStatus, command_state
from shared.text.times import readable_time


def asked(command: Record) -> str:
    who = command["requested_by"] or "an unknown requester"
    why = f": {command['reason']}" if command["reason"] else ""
    of_run = f"run {command['run_id']} ({command['status']})"
    return f"{of_run}, requested by {who} at {readable_time(command['received_at'])}{why}"


def since(host: Record) -> datetime:
    """Since when the host is not up; if it is up, the time of its last heartbeat."""
    at: datetime = host["abandoned_at"] or host["left_at"] or host["seen_at"]
    return at


def waits_for(command: Record, host: Record) -> str:
    """What an open command on a run of `host` waits for."""
    if command_state(command["status"], host["state"]) is CommandState.STOPPING:
        return f"it waits for the end of the stop, {deadline(command)}"
    state = host["state"]
    if state == HostState.UP:
        return "it waits for the worker, which is up"
    return f"it waits for the worker, {state} since {readable_time(since(host))}"


def deadline(run: Record) -> str:
    """When the run is killed, or was to be killed."""
    at: datetime = run["stop_deadline"]
    return f"deadline {readable_time(at)}"


def run_text(run: Record) -> str:
    """What a run of the host is doing."""
    text = f"{run['run_id']} {run['status']}"
    match run["status"]:
        case RunStatus.RUNNING:
            return f"{text} since {readable_time(run['started_at'])}"
        case RunStatus.CANCELING:
            return f"{text} since {readable_time(run['canceling_at'])}, {deadline(run)}"
    return f"{text}, may have processes left"


def letter_text(letter: Record) -> str:
    of_run = f"run {letter['run_id']}, waits since {readable_time(letter['arrived_at'])}"
    return f"{letter['letter_id']} ({letter['reason']}), {of_run}"


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
