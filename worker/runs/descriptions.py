"""A run's commands, and what became of its processes, in words."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from shared.states import HostState, Outcome, Proof
from worker.evidence import Ended
from worker.runs.wording import count, exit_code, length, processes, second

Json = Mapping[str, Any]

_ENDED: Final[Mapping[str, str]] = {
    Ended.NEVER_STARTED: "it never started",
    Ended.ALREADY_GONE: "no process was left",
    Ended.OBEYED: "it obeyed",
    Ended.KILLED: "it had to be killed",
    Ended.SURVIVED: "it survived SIGKILL",
    Ended.NOT_PROVED: "no process was found, but there is no proof",
}
_ENDED_PROCESSES: Final[Mapping[str, str]] = {
    Ended.ALREADY_GONE: "gone",
    Ended.OBEYED: "obeyed",
    Ended.KILLED: "killed",
}
CAUSES: Final[Mapping[str, str]] = {
    "launcher_died": "its launcher died without reporting an exit code",
    "host_rebooted": "its host was rebooted",
    "host_abandoned": "its host was abandoned",
    "container_lost": "its worker's container was replaced",
}


def asked(command: Json) -> str:
    """Who asked for a cancel, by which path, and why."""
    who = command["requested_by"] or "an unknown requester"
    path = f"via {command['via']}"
    if command["publisher"] is not None:
        path += f" (broker user {command['publisher']})"
    how = []
    if command["force"]:
        how.append("with force")
    if command["grace_seconds"] is not None:
        how.append(f"grace period {command['grace_seconds']:g} s")
    why = f": {command['reason']}" if command["reason"] else ""
    return f"{', '.join((f'{who} {path}', *how))}{why}"


def answered(command: Json) -> str:
    """The result of a command."""
    evidence = command["evidence"]
    match command["outcome"]:
        case None:
            return f"open: {_waits(command.get('waiting_for'))}"
        case Outcome.NO_OP:
            return f"no_op: {_why_no_op(evidence)}"
        case Outcome.FORCED:
            return "forced: it ended the grace period of the stop in progress"
        case Outcome.STOP_FAILED:
            return f"stop_failed: {remains(evidence)}"
        case Outcome.NOT_PROVED:
            return "not_proved: its container was replaced, so its end cannot be proved"
        case Outcome.ABANDONED:
            by, why = evidence.get("host_abandoned_by"), evidence.get("reason")
            return f"abandoned: the host was abandoned by {by}: {why}"
        case outcome:
            return f"{outcome}: {_ended(evidence)}"


def _waits(waiting_for: Json | None) -> str:
    if waiting_for is None:
        return "the run is being stopped"
    host, state = waiting_for["host"], waiting_for["host_state"]
    if state == HostState.UP:
        return f"it waits for the worker of host {host}"
    return f"it waits for the worker of host {host}, {state} since {second(waiting_for['since'])}"


def remains(evidence: Json) -> str:
    """The processes that a failed stop left, or may have left."""
    if (number := evidence.get("workers_ended")) is not None:
        return f"its stop was taken up {number} times and never ended"
    if evidence.get("engine_missing"):
        return "it has started containers, and its worker has no CANCEL_DOCKER"
    if alive := evidence.get("containers_alive"):
        return f"not all of its containers are proved gone: {', '.join(alive)}"
    left, doubt = evidence.get("survivors"), evidence.get("in_doubt")
    if doubt and not left:
        return f"these processes may belong to it: {processes(doubt)}"
    return f"{processes(left) if left else 'an unidentified process'} survived SIGKILL"


def loss(run: Json) -> str | None:
    """Why a run was lost, and whether processes may be left."""
    lost = run["loss"]
    if lost is None:
        return None
    cause = str(lost.get("cause"))
    cause = CAUSES.get(cause, cause)
    if lost.get("by"):
        cause += f" by {lost['by']}: {lost['reason']}"
    proof = lost.get("proof")
    if proof in set(Proof):
        return f"{cause}; no process is left ({proof})"
    if proof is not None:
        return f"{cause}; whether processes are left can no longer be determined ({proof})"
    if lost.get("survivors") or lost.get("in_doubt"):
        return f"{cause}; {remains(lost)}"
    if lost.get("kept"):
        return f"{cause}; {_what_was_left(lost)}; kept"
    return f"{cause}; processes may be left"


def left_behind(run: Json) -> str | None:
    """What the command of a run left behind, and what became of it."""
    left = run["left_behind"]
    if left is None:
        return None
    what = _what_was_left(left)
    proof = left.get("proof")
    if (ended := _ENDED_PROCESSES.get(left.get("ended") or "")) and proof is not None:
        return f"{what}; {ended}{_after(left)}, proof {proof}"
    if proof in set(Proof):  # for example, a reboot ended what had survived a stop
        return f"{what}; gone, proof {proof}"
    if proof is not None:
        return f"{what}; whether they are alive can no longer be determined ({proof})"
    if left.get("survivors") or left.get("in_doubt"):
        return f"{what}; {remains(left)}"
    return f"{what}; {'kept' if left['kept'] else 'they may be alive'}"


def _what_was_left(left: Json) -> str:
    """The processes and containers that a command left behind."""
    parts = []
    if left.get("engine_missing"):
        parts.append("perhaps containers, which its worker could not see")
    if left.get("builds"):
        parts.append("the build of an image")
    if left["number"] or not (left["containers_number"] or parts):
        names = ", ".join(f"{each['name']} (pid {each['pid']})" for each in left["found"])
        more = ", …" if left["number"] > len(left["found"]) else ""
        parts.append(f"{count(left['number'])}: {names}{more}")
    if left["containers_number"]:
        names = ", ".join(f"{each['name']} ({each['image']})" for each in left["containers_found"])
        more = ", …" if left["containers_number"] > len(left["containers_found"]) else ""
        parts.append(f"{count(left['containers_number'], 'container')}: {names}{more}")
    return "; ".join(parts)


def containers(evidence: Json) -> Iterator[str]:
    """What became of each container that a stop found."""
    for each in evidence.get("containers") or ():
        what = f"{each['name']} ({each['image']}, {each['id'][:12]})"
        asked = f"got {each['signal']}" if each["signal"] else "ended by itself"
        code = each["exit_code"]
        yield f"{what} {asked}" + (f", exit code {exit_code(code)}" if code is not None else "")


def _ended(evidence: Json) -> str:
    ended = str(evidence.get("ended"))
    ended = _ENDED.get(ended, ended)
    return f"{ended}{_after(evidence)}, proof {evidence.get('proof')}"


def _after(evidence: Json) -> str:
    took = evidence.get("duration_ms")
    return f" after {length(timedelta(milliseconds=took))}" if took else ""


def _why_no_op(evidence: Json) -> str:
    if evidence.get("stop_in_progress"):
        return "its stop was in progress"
    if evidence.get("cancel_pending"):
        return "an earlier cancel was already waiting for its host"
    if status := evidence.get("run_status"):
        return f"the run was over ({status})"
    return _ended(evidence)
