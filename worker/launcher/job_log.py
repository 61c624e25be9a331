"""What `cancel-exec` says on stderr, and so in the job's log. Standard library only, as it is."""

import os
import select
import sys
from contextlib import suppress

from shared.text.printable import printable

# Seconds. The reader of stderr may have stopped reading, which must not cost the exit code.
_MOST_WAIT = 2.0


def say(message: str) -> None:
    """Write `message` as one escaped line."""
    if sys.stderr is None:  # it was never open
        return
    line = f"cancel-exec: {printable(message)}".encode()[: select.PIPE_BUF - 1]
    with suppress(OSError, ValueError):
        stderr = sys.stderr.fileno()
        has_room = select.poll()  # for PIPE_BUF bytes, if it is a pipe
        has_room.register(stderr, select.POLLOUT)
        if has_room.poll(_MOST_WAIT * 1000):
            os.write(stderr, line.decode(errors="ignore").encode() + b"\n")


def canceled(run_id: int, answer: dict[str, object]) -> str:
    """The message for a canceled run that had started, from the worker's response."""
    cancellation = _cancellation(answer)
    if answer.get("status") == "canceled":
        return f"run {run_id} was canceled{_asked(cancellation)}{_ended(cancellation)}"
    told = f"run {run_id} is being canceled{_asked(cancellation)}"
    if answer.get("stopping"):
        return f"{told}; the stop is still in progress, but cancel-exec no longer waits for it"
    return f"{told}; the stop failed, and processes of the run may still be alive"


def canceled_before_start(run_id: int, answer: dict[str, object]) -> str:
    asked = _asked(_cancellation(answer))
    comma = "," if asked else ""
    return f"run {run_id} was canceled before it started{comma}{asked}; the command was not run"


def refused_as_canceled(run_id: int, answer: dict[str, object]) -> str:
    if expired_at := answer.get("expired_at"):
        return (
            f"run {run_id} expired: it did not start before {expired_at}; the command was not run"
        )
    cancellation = _cancellation(answer)
    if not cancellation or cancellation.get("ended") == "never_started":
        return canceled_before_start(run_id, answer)
    # Another launcher started the run, and this one came after the cancel.
    asked = f"its cancel was requested{_asked(cancellation)}"
    return f"run {run_id} was already started, and {asked}; the command was not run"


def left_behind(answer: dict[str, object]) -> str | None:
    """What became of what the command left behind; None if that was nothing."""
    found = answer.get("left_behind")
    if not isinstance(found, dict):
        return None
    if found.get("engine_missing") and not found.get("proof"):
        return "the command has started containers, which its worker cannot see: some may be left"
    what = _counted(found)
    names = _names(found)
    if found.get("kept"):
        return f"the command left {what} running, as the run was registered to do{names}"
    if found.get("proof"):
        how = ", which had to be killed" if found.get("ended") == "killed" else ""
        return f"stopped {what} that the command left behind{how}{names}"
    return f"the command left {what} behind that could not all be stopped{names}"


def _counted(found: dict[str, object]) -> str:
    """`2 processes and 1 container`, without the part of which there is none."""
    processes, containers = found.get("number"), found.get("containers_number")
    parts = ["the build of an image"] if found.get("builds") else []
    if processes or not (containers or parts):
        parts.append("1 process" if processes == 1 else f"{processes} processes")
    if containers:
        parts.append("1 container" if containers == 1 else f"{containers} containers")
    return " and ".join(parts)


def _names(found: dict[str, object]) -> str:
    named, complete = [], True
    for number, some, form in (
        ("number", "found", "{name} (pid {pid})"),
        ("containers_number", "containers_found", "{name} ({image})"),
    ):
        listed = found.get(some)
        if isinstance(listed, list):
            named += [form.format(**each) for each in listed]
            complete &= found.get(number) == len(listed)
    more = "" if complete else ", …"
    return f": {', '.join(named)}{more}" if named else ""


def _cancellation(answer: dict[str, object]) -> dict[str, object]:
    """Empty if the worker is of an older version, which does not send it."""
    cancellation = answer.get("cancellation")
    return cancellation if isinstance(cancellation, dict) else {}


def _asked(cancellation: dict[str, object]) -> str:
    if not cancellation:
        return ""
    who = cancellation.get("requested_by") or "an unknown requester"
    reason = cancellation.get("reason")
    return f" by {who} (via {cancellation.get('via')})" + (f": {reason}" if reason else "")


def _ended(cancellation: dict[str, object]) -> str:
    match cancellation.get("ended"):
        case "obeyed":
            return f"; it obeyed {cancellation.get('signal')}{_after(cancellation)}"
        case "killed":
            return f"; it was killed{_after(cancellation)}"
        case "already_gone":
            return "; no process was left to stop"
        case _:
            return ""


def _after(cancellation: dict[str, object]) -> str:
    match cancellation.get("duration_ms"):
        case float() | int() as ms if ms < 1000:
            return f" after {ms:.0f} ms"
        case float() | int() as ms:
            return f" after {ms / 1000:.1f} s"
        case _:
            return ""
