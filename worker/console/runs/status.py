"""The status of a run in words, and what a cancel of it would do."""

from collections.abc import Mapping
from typing import Any

from shared.states import CommandState, Proof, RunStatus
from worker.console.runbook.sections import Section
from worker.dead_letters.advice import is_given_up, is_over

Json = Mapping[str, Any]


def in_words(run: Json) -> str:
    match run["status"]:
        case RunStatus.QUEUED:
            return "It waits for a runner."
        case RunStatus.RUNNING:
            return f"It runs on {run['host']}."
        case RunStatus.CANCELING:
            return _canceling(run)
        case RunStatus.PASS:
            return "Its command ended with exit code 0."
        case RunStatus.FAIL:
            return f"Its command ended with exit code {run['exit_code']}."
        case RunStatus.CANCELED if run["expired"]:
            return "It did not start in time, and never will."
        case RunStatus.CANCELED if run["proof"] == Proof.NEVER_STARTED:
            return "It was canceled before it started, and never will."
        case RunStatus.CANCELED if run["proof"] in set(Proof):
            return "No process of it is left: that is proved."
        case RunStatus.CANCELED:
            return "Its proof is not on record."
    return f"{run['error']}."


def _canceling(run: Json) -> str:
    states = {command["state"] for command in run["cancellations"]}
    if CommandState.STOPPING in states:
        return f"Its processes are being stopped on {run['host']}."
    if any(command["outcome"] is None for command in run["cancellations"]):
        return f"Its stop waits for the worker of {run['host']}."
    return "Its stop failed, and is not tried again without a new cancel."


def section_of(run: Json) -> Section | None:
    """The section of the runbook that tells what to do; None if nothing is wrong."""
    if is_given_up(run):
        return Section.HOST_LOST
    if run["status"] != RunStatus.CANCELING:
        return None
    states = {command["state"] for command in run["cancellations"]}
    if CommandState.STOPPING in states:
        return None
    is_open = any(command["outcome"] is None for command in run["cancellations"])
    return Section.COMMAND_WAITING if is_open else Section.STOP_FAILED


def effect_of_cancel(run: Json) -> str | None:
    """What a cancel would do; None if there is nothing that it could stop."""
    if is_over(run) or is_given_up(run):
        return None
    match run["status"]:
        case RunStatus.QUEUED:
            return "It ends before it starts."
        case RunStatus.RUNNING:
            to = "its first process gets" if run["stop_scope"] == "leader" else "its processes get"
            grace = "the grace period of its worker"
            if run["grace_seconds"] is not None:
                grace = f"{run['grace_seconds']:g} s"
            what = f"{to[0].upper()}{to[1:]} {run['stop_signal']}"
            return f"{what}, and what is left after {grace} is killed."
        case RunStatus.CANCELING if any(
            command["outcome"] is None for command in run["cancellations"]
        ):
            return (
                "Its stop is under way, so a cancel changes nothing; with force, it ends the "
                "grace period."
            )
        case RunStatus.CANCELING:
            return "Its failed stop is taken up again."
    return "It is over, but processes of it may be alive: those are stopped."
