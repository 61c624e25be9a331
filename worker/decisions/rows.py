"""Converts decisions into rows to write."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from shared.states import Outcome, RunStatus
from worker.decisions.verdict import (
    BeginAgain,
    BeginStop,
    CancelQueued,
    InProgress,
    Join,
    NoOp,
    OpenAgain,
    Pending,
    Repeat,
    ResumeStop,
    StopLeftovers,
    Verdict,
    Wait,
    by_status,
)
from worker.evidence import never_started
from worker.messages.request import Request


@dataclass(frozen=True, slots=True)
class Row:
    """The row of a command, and the changes to its run."""

    request: Request
    outcome: Outcome | None
    evidence: str = "{}"
    """A JSON object."""
    new_grace: float | None = None
    """The grace period of a stop that begins, seconds."""
    ends_grace: bool = False
    """Whether the command ends the grace period of a stop."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The outcome of a new command on a run with this status."""

    status: RunStatus
    outcome: Outcome
    evidence: str
    """A JSON object."""


def rules() -> list[Rule]:
    """The rules for all states in which the status alone decides."""
    never = _never_started()
    found = []
    for status in RunStatus:
        match by_status(status):
            case CancelQueued():
                found.append(Rule(status, Outcome.CANCELED, never))
            case NoOp():
                found.append(Rule(status, Outcome.NO_OP, _over(status)))
    return found


def rows_of(judged: Iterable[tuple[Request, Verdict]]) -> list[Row]:
    """The rows to write; none for a command that is already completely on record."""
    judged = list(judged)
    has_queued = any(isinstance(verdict, CancelQueued) for _, verdict in judged)
    never = _never_started() if has_queued else ""
    rows = (_row(request, verdict, never) for request, verdict in judged)
    return [row for row in rows if row is not None]


def _row(request: Request, verdict: Verdict, never: str) -> Row | None:
    row = partial(Row, request)
    match verdict:
        case InProgress() if request.origin.reply is not None:
            return row(None)
        case Repeat() | InProgress():
            return None
        case CancelQueued():
            return row(Outcome.CANCELED, never)
        case NoOp(status):
            return row(Outcome.NO_OP, _over(status))
        case Pending():
            return row(Outcome.NO_OP, '{"cancel_pending": true}')
        case Join(ends_grace):
            outcome = Outcome.FORCED if ends_grace else Outcome.NO_OP
            return row(outcome, '{"stop_in_progress": true}', ends_grace=ends_grace)
        case BeginStop(_, grace) | BeginAgain(grace):
            return row(None, new_grace=grace)
        case ResumeStop(_, _, ends_grace):
            return row(None, ends_grace=ends_grace)
        case Wait() | StopLeftovers() | OpenAgain():
            return row(None)


def _never_started() -> str:
    return json.dumps(never_started().as_json())


def _over(status: RunStatus) -> str:
    return f'{{"run_status": "{status}"}}'
