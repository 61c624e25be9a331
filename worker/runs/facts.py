"""The facts of a run and of its commands, as names and texts."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from shared.states import LeftoversPolicy, Outcome, RunStatus, StopScope
from worker.dead_letters.advice import advice
from worker.dead_letters.wanted import LetterState
from worker.runs import descriptions, timeline, wording

Json = dict[str, Any]


def of_run(run: Json, now: datetime) -> Iterator[tuple[str, str]]:
    lasted = ", ".join(f"{name} {wording.length(time)}" for name, time in timeline.spans(run, now))
    yield "was", lasted if run["finished_at"] else f"{lasted} so far"
    if run["host"] is not None:
        where = f"in cgroup {run['cgroup']}" if run["cgroup"] else "in a session of its own"
        launcher = f"started by launcher {run['launcher_pid']}"
        yield "ran on", f"{run['host']}, pid {run['pid']} {launcher}, user {run['uid']}, {where}"
    if run["exit_code"] is not None:
        yield "exit code", wording.exit_code(run["exit_code"])
    if run["status"] == RunStatus.CANCELED:
        yield "proof", run["proof"]
    if run["error"] is not None:
        yield "error", run["error"]
    if (lost := descriptions.loss(run)) is not None:
        yield "lost", lost
    if (left := descriptions.left_behind(run)) is not None:
        yield "left behind", left
    for record in (run["left_behind"], run["loss"]):
        for container in descriptions.containers(record or {}):
            yield "container", container
    if run["start_before"] is not None and not run["expired"]:
        yield "start before", wording.second(run["start_before"])
    if run["labels"]:
        yield "labels", wording.labels(run)
    if run["url"] is not None:
        yield "url", run["url"]
    alone = run["stop_scope"] == StopScope.LEADER
    if run["grace_seconds"] is not None or run["stop_signal"] != "SIGTERM" or alone:
        own = run["grace_seconds"]
        grace = "the default grace period" if own is None else f"a grace period of {own:g} s"
        to = " to the leader alone" if alone else ""
        yield "stop by", f"{run['stop_signal']}{to}, {grace}"
    if run["leftovers"] == LeftoversPolicy.KEEP:
        yield "leftovers", "kept"
    yield from what_to_do(run)


def what_to_do(run: Json) -> Iterator[tuple[str, str]]:
    failed = [row for row in run["cancellations"] if row["outcome"] == Outcome.STOP_FAILED]
    is_open = any(row["outcome"] is None for row in run["cancellations"])
    if run["status"] == RunStatus.CANCELING and failed and not is_open:
        left = descriptions.remains(failed[-1]["evidence"])
        yield "alive", f"{left}; a new cancel or a replay takes the stop up again"
    if run["status"] == RunStatus.RUNNING and run["unreported_since"] is not None:
        yield (
            "launcher",
            f"pid {run['launcher_pid']} has not reported the exit code yet; if it is "
            "suspended (state T in ps), continue it with kill -CONT, or cancel the run",
        )
    for letter in run["dead_letters"]:
        if letter["state"] == LetterState.WAITING:
            what = advice(letter, run)
            yield "dead letter", f"{letter['letter_id']} ({letter['reason']}): {what}"


def of_command(command: Json) -> Iterator[tuple[str, str]]:
    yield "requested by", descriptions.asked(command)
    if command["requested_at"] is not None:
        asked = datetime.fromisoformat(command["requested_at"])
        waited = datetime.fromisoformat(command["received_at"]) - asked
        by_its_clock = f"{asked.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC by the requester's clock"
        if waited.total_seconds() >= 0:
            by_its_clock += f", {wording.length(waited)} before a worker received it"
        yield "requested at", by_its_clock
    for field, fault in command["faults"].items():
        yield "fault", f"{field}: {fault}"
    outcome = descriptions.answered(command)
    if command["finished_at"] is not None:
        received = datetime.fromisoformat(command["received_at"])
        took = datetime.fromisoformat(command["finished_at"]) - received
        outcome += f" (after {wording.length(took)})"
    yield "outcome", outcome
    evidence = command["evidence"]
    for container in descriptions.containers(evidence):
        yield "container", container
    if left := evidence.get("escaped"):
        yield "escaped", f"{wording.processes(left)} (found outside the cgroup)"
    if earlier := evidence.get("earlier"):
        yield "earlier", f"{descriptions.remains(earlier)}, in an earlier stop"
