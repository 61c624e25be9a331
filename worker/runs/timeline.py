"""The timeline of a run: what happened when."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from shared.states import RunStatus, StopScope
from worker.evidence import Ended
from worker.runs.descriptions import CAUSES, answered, asked
from worker.runs.wording import count, exit_code, length, moment_of, second

Json = Mapping[str, Any]


class Kind(StrEnum):
    """What kind of thing happened."""

    STATE = "state"
    """The run entered a state."""
    REQUEST = "request"
    """A worker received a cancel."""
    NOTICE = "notice"
    """A worker noticed something: a loss, or what a command left behind."""
    SIGNAL = "signal"
    KILL = "kill"
    """SIGKILL was sent."""
    DEADLINE = "deadline"
    PROOF = "proof"
    OUTCOME = "outcome"
    LETTER = "letter"
    """A dead letter arrived, or something was done with it."""


@dataclass(frozen=True, slots=True)
class Moment:
    at: datetime
    kind: Kind
    what: str


Recorded = tuple[str | None, Kind, str]
"""A moment that may not have come."""


def moments(run: Json) -> list[Moment]:
    """All recorded moments of a run, in order; at the same time, causes come first."""
    found = dict.fromkeys(  # several commands share the evidence of one stop
        Moment(moment_of(at).astimezone(UTC), kind, what)
        for at, kind, what in _recorded(run)
        if at is not None
    )
    return sorted(found, key=lambda moment: moment.at)


def entered(run: Json) -> list[tuple[RunStatus, datetime]]:
    """The states that the run was in before it was over, and when it entered each."""
    return [
        (status, moment_of(run[column]))
        for status, column in (
            (RunStatus.QUEUED, "created_at"),
            (RunStatus.RUNNING, "started_at"),
            (RunStatus.CANCELING, "canceling_at"),
        )
        if run[column] is not None
    ]


def spans(run: Json, now: datetime) -> list[tuple[str, timedelta]]:
    """The time in each state. The last state lasts until `now`, unless it is terminal."""
    states = entered(run)
    end = now if run["finished_at"] is None else moment_of(run["finished_at"])
    return [
        (status.value, after - at)
        for (status, at), after in zip(states, [*(at for _, at in states[1:]), end], strict=True)
    ]


def _recorded(run: Json) -> Iterator[Recorded]:
    yield run["created_at"], Kind.STATE, "queued"
    where = f"running on {run['host']}, pid {run['pid']}, user {run['uid']}"
    yield run["started_at"], Kind.STATE, where
    commands: Sequence[Json] = run["cancellations"]
    for number, command in enumerate(commands, 1):
        what = f"cancel {number} requested by {asked(command)}"
        yield command["received_at"], Kind.REQUEST, what
    yield from _canceling(run)
    if run["unreported_since"] is not None:
        what = f"command ended, but launcher {run['launcher_pid']} did not report its exit code"
        yield run["unreported_since"], Kind.NOTICE, what
    left = run["left_behind"] or {}
    if left:
        kept = ", to be kept" if left["kept"] else ""
        what = f"command ended, and {_counts(left)}{kept}"
        yield left.get("noticed_at"), Kind.NOTICE, what
    for evidence in (*(command["evidence"] for command in commands), run["loss"] or {}, left):
        yield from _stopped(evidence)
    lost = run["loss"] or {}
    cause = str(lost.get("cause"))
    yield lost.get("noticed_at"), Kind.NOTICE, f"lost: {CAUSES.get(cause, cause)}"
    yield run["finished_at"], Kind.STATE, _end(run)
    for number, command in enumerate(commands, 1):
        what = f"outcome of cancel {number}: {answered(command)}"
        yield command["finished_at"], Kind.OUTCOME, what
    for letter in run["dead_letters"]:
        name = f"dead letter {letter['letter_id']}"
        yield letter["arrived_at"], Kind.LETTER, f"{name}: {letter['reason']}"
        for action in letter["actions"]:
            done = f"{name} {action['action']} by {action['done_by']}"
            yield action["done_at"], Kind.LETTER, done


def _canceling(run: Json) -> Iterator[Recorded]:
    if run["stop_deadline"] is None:
        return
    at, until = moment_of(run["canceling_at"]), moment_of(run["stop_deadline"])
    planned = moment_of(run["first_stop_deadline"] or run["stop_deadline"])
    grace = length(max(planned - at, timedelta()))
    yield run["canceling_at"], Kind.STATE, f"canceling, grace period {grace}"
    if run["first_stop_deadline"] is not None:
        what = f"forced: the grace period ends after {length(until - at)}"
        yield run["stop_deadline"], Kind.DEADLINE, what


def _end(run: Json) -> str:
    ended: str = run["status"]
    if run["exit_code"] is not None and ended in (RunStatus.PASS, RunStatus.FAIL):
        ended += f", exit code {exit_code(run['exit_code'])}"
    if run["expired"]:
        # Without a time of its own, a prune found that it waited longer than records are kept.
        until = run["start_before"]
        ended += f": it did not start before {second(until)}" if until else ": it did not start"
    return ended


def _stopped(evidence: Json) -> Iterator[Recorded]:
    if earlier := evidence.get("earlier"):
        yield from _stopped(earlier)
    yield from signals(evidence)
    if evidence.get("ended") != Ended.NEVER_STARTED:
        yield evidence.get("proved_at"), Kind.PROOF, f"proved gone: {evidence.get('proof')}"


def signals(evidence: Json) -> Iterator[Recorded]:
    """The signals of one stop, those sent at the same time together."""
    for at, sent in groupby(evidence.get("signals", ()), key=lambda signal: signal["at"]):
        signals = list(sent)
        names = ", ".join(signal["signal"] for signal in signals)
        is_for_leader = signals[0].get("to") == StopScope.LEADER
        to = "the leader alone" if is_for_leader else count(signals[0]["processes"])
        yield at, Kind.KILL if "SIGKILL" in names else Kind.SIGNAL, f"{names} to {to}"


def _counts(left: Json) -> str:
    processes, containers = left["number"], left["containers_number"]
    counts = [count(processes)] if processes else []
    counts += [count(containers, "container")] if containers else []
    counts += ["the build of an image"] if left.get("builds") else []
    if not counts:
        return "may have left containers behind, which its worker could not see"
    return f"left {' and '.join(counts)} behind"
